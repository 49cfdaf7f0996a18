import { Kind, parse } from 'graphql';
import { aliasOf, representationsOf, type CompanionDocuments } from '../fetching/request.js';
import type { FetchStep } from './compile.js';
import { withName } from './fetch-document.js';

/** What the document of a fetch of entities consists of. */
interface DocumentPart {
  /** The definitions of its variables without `$representations`, as text. */
  readonly variables: readonly string[];
  /** What it selects of each entity, with braces. */
  readonly selection: string;
}

/** Requests have other subsets of the fetches if some of them have nothing to ask for. */
const maxDocuments = 8;

/**
 * Notes in the steps of fetches that start together and ask one subgraph that they may travel together. Those
 * with equal documents are left out, because they are merged or ask for nothing twice (known-entities.ts).
 */
export const noteCompanions = (candidates: readonly FetchStep[]): void => {
  const steps = [...new Map(candidates.map((step) => [step.unnamed, step])).values()];
  if (steps.length < 2) return;
  const parts = steps.map(partOf);
  const known = new Map<string, string>();
  const documents: CompanionDocuments = {
    apartUntilMs: 0,
    combined: (indexes) => {
      const key = indexes.join();
      const found = known.get(key);
      if (found !== undefined) return found;
      const text = JSON.stringify(withName(combine(indexes, parts), nameOf(indexes, steps)));
      if (known.size >= maxDocuments) known.clear();
      known.set(key, text);
      return text;
    },
  };
  steps.forEach((step, index) => {
    if (parts[index]) step.companion = { documents, index };
  });
};

/** Returns undefined for a document that has anything but one field `_entities`. */
const partOf = ({ unnamed }: FetchStep): DocumentPart | undefined => {
  const text = JSON.parse(unnamed) as string;
  const [operation, ...otherDefinitions] = parse(text).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION || otherDefinitions.length > 0) return undefined;
  if (operation.directives?.length) return undefined;
  const [entities, ...otherFields] = operation.selectionSet.selections;
  if (entities?.kind !== Kind.FIELD || entities.name.value !== '_entities') return undefined;
  const { loc } = entities.selectionSet ?? {};
  if (!loc || entities.alias || otherFields.length > 0) return undefined;
  return {
    variables: (operation.variableDefinitions ?? [])
      .filter(({ variable }) => variable.name.value !== 'representations')
      .map((definition) => text.slice(definition.loc?.start, definition.loc?.end)),
    selection: text.slice(loc.start, loc.end),
  };
};

const combine = (indexes: readonly number[], parts: readonly (DocumentPart | undefined)[]): string => {
  const definitions = new Set(indexes.map((index) => `$${representationsOf(index)}:[_Any!]!`));
  const fields = indexes.map((index) => {
    const { variables = [], selection = '' } = parts[index] ?? {};
    for (const definition of variables) definitions.add(definition);
    return `${aliasOf(index)}:_entities(representations:$${representationsOf(index)})${selection}`;
  });
  return `query(${[...definitions].join()}){${fields.join(' ')}}`;
};

/** Returns `Page__rating__1__2` for the fetches `Page__rating__1` and `Page__rating__2`. */
const nameOf = (indexes: readonly number[], steps: readonly FetchStep[]): string | undefined => {
  const names = indexes.flatMap((index) => steps[index]?.name ?? []);
  return names.length === 0
    ? undefined
    : names.map((name, position) => (position === 0 ? name : name.slice(name.lastIndexOf('__')))).join('');
};
