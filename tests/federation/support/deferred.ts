import { Kind, parse, visit, type DirectiveNode, type DocumentNode, type SelectionSetNode } from 'graphql';
import type { SeededRandom } from '@cinegraph/testing/seed';

/** Returns the document with `@defer` at some of its fragments, and with some selections in deferred ones. */
export const withDefers = (document: DocumentNode, random: SeededRandom): DocumentNode => {
  const chance = (percent: number): boolean => random.int(100) < percent;
  let labels = 0;
  const defer = (): DirectiveNode => {
    const label = chance(50) ? `label: "l${labels++}"` : '';
    const condition = chance(15) ? `if: ${chance(50)}` : '';
    return directiveOf(`@defer${label || condition ? `(${[label, condition].filter(Boolean).join()})` : ''}`);
  };
  const deferred = visit(document, {
    enter: (node) => {
      if (node.kind !== Kind.INLINE_FRAGMENT && node.kind !== Kind.FRAGMENT_SPREAD) return undefined;
      return chance(45) ? { ...node, directives: [...(node.directives ?? []), defer()] } : undefined;
    },
    SelectionSet: {
      leave: (set): SelectionSetNode | undefined => {
        if (!chance(15)) return undefined;
        const from = random.int(set.selections.length);
        const inner: SelectionSetNode = { kind: Kind.SELECTION_SET, selections: set.selections.slice(from) };
        return {
          ...set,
          selections: [
            ...set.selections.slice(0, from),
            { kind: Kind.INLINE_FRAGMENT, directives: [defer()], selectionSet: inner },
          ],
        };
      },
    },
  });
  return deferred;
};

/**
 * Returns the first position at which the second value lacks what the first one has. With errors, a response
 * in parts has more than one without: a null removes no more than its part.
 */
export const firstLoss = (one: unknown, other: unknown, path = 'data'): string | undefined => {
  if (one === null || one === undefined) return undefined;
  if (typeof one !== 'object') return one === other ? undefined : `${path} is ${JSON.stringify(other)}`;
  if (typeof other !== 'object' || other === null) return `${path} is ${JSON.stringify(other)}`;
  for (const [key, value] of Object.entries(one)) {
    const loss = firstLoss(value, (other as Record<string, unknown>)[key], `${path}.${key}`);
    if (loss !== undefined) return loss;
  }
  return undefined;
};

const directiveOf = (text: string): DirectiveNode => {
  const [definition] = parse(`{ ... ${text} { __typename } }`, { noLocation: true }).definitions;
  const [fragment] = definition?.kind === Kind.OPERATION_DEFINITION ? definition.selectionSet.selections : [];
  const [directive] = fragment?.directives ?? [];
  if (!directive) throw new Error(`no directive: ${text}`);
  return directive;
};
