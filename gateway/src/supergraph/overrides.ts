import { Kind, visit, type DocumentNode } from 'graphql';

const percentLabel = /^percent\((\d+(?:\.\d+)?)\)$/;

const none: readonly string[] = [];

/**
 * Reads the labels of progressive overrides, `@override(from:, label:)`, from a supergraph. Returns a
 * function that draws the labels that are on for one request, sorted: `percent(n)` for n of 100 requests,
 * and every label that is one of `switchedOn`.
 */
export const readOverrides = (
  supergraph: DocumentNode,
  switchedOn: readonly string[],
): (() => readonly string[]) => {
  const labels = new Set<string>();
  visit(supergraph, {
    Argument: ({ name, value }) => {
      if (name.value === 'overrideLabel' && value.kind === Kind.STRING) labels.add(value.value);
    },
  });
  const constant = [...labels].filter((label) => switchedOn.includes(label));
  const drawn = [...labels].flatMap((label) => {
    const percent = percentLabel.exec(label)?.[1];
    return percent === undefined ? [] : [{ label, share: Number(percent) / 100 }];
  });
  if (drawn.length === 0) {
    const sorted = constant.length === 0 ? none : constant.sort();
    return () => sorted;
  }
  return () => {
    const on = drawn.filter(({ share }) => Math.random() < share).map(({ label }) => label);
    return [...constant, ...on].sort();
  };
};
