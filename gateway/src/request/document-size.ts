import { add, fragmentsOf } from '@cinegraph/service/list-cost';
import {
  Kind,
  type ArgumentNode,
  type DirectiveNode,
  type DocumentNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';

/**
 * A document with more tokens is refused while it is parsed; generated operations of large pages stay below
 * 5,000.
 */
export const maxTokens = 15_000;

/** The sizes of a document: of its text, and of its largest operation with its fragments expanded. */
export interface DocumentSize {
  readonly operations: number;
  readonly directives: number;
  /** The most directives at one position. */
  readonly directivesAtOnePosition: number;
  /** Selections of a field under a name that the same selection set has already. */
  readonly repeatedFields: number;
  /** Values in arguments and defaults: each scalar, enum value, variable, list and object. */
  readonly values: number;
  readonly rootFields: number;
  /** Levels of fields below each other. */
  readonly depth: number;
  readonly aliases: number;
  /** Fields and spreads of fragments. */
  readonly selections: number;
}

/** The sizes of a selection set with its fragments expanded. */
type SelectionSize = Pick<DocumentSize, 'rootFields' | 'depth' | 'aliases' | 'selections'>;

const nothing: SelectionSize = { rootFields: 0, depth: 0, aliases: 0, selections: 0 };

/**
 * Measures a parsed document, before it is validated. Each fragment is measured once, however often it is
 * spread, so that the time grows with the length of the text only. A count ends at
 * `Number.MAX_SAFE_INTEGER`. A fragment in itself counts as empty; validation refuses it.
 */
export const measureDocument = (document: DocumentNode): DocumentSize => {
  const text = { operations: 0, directives: 0, directivesAtOnePosition: 0, repeatedFields: 0, values: 0 };
  const fragments = fragmentsOf(document);
  const known = new Map<string, SelectionSize>();

  const countDirectives = (directives: readonly DirectiveNode[] = []): void => {
    text.directives += directives.length;
    text.directivesAtOnePosition = Math.max(text.directivesAtOnePosition, directives.length);
    for (const directive of directives) countArguments(directive.arguments);
  };

  const countArguments = (nodes: readonly ArgumentNode[] = []): void => {
    for (const { value } of nodes) text.values += countLiterals(value);
  };

  const ofSelections = ({ selections }: SelectionSetNode): SelectionSize => {
    const names = new Set<string>();
    let size = nothing;
    for (const selection of selections) {
      countDirectives(selection.directives);
      if (selection.kind === Kind.FIELD) {
        countArguments(selection.arguments);
        const name = (selection.alias ?? selection.name).value;
        if (names.has(name)) text.repeatedFields += 1;
        names.add(name);
        const below = selection.selectionSet ? ofSelections(selection.selectionSet) : nothing;
        size = together(size, {
          rootFields: 1,
          depth: add(below.depth, 1),
          aliases: add(below.aliases, selection.alias ? 1 : 0),
          selections: add(below.selections, 1),
        });
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        size = together(size, spread(ofSelections(selection.selectionSet)));
      } else {
        size = together(size, spread(ofFragment(selection.name.value)));
      }
    }
    return size;
  };

  const ofFragment = (name: string): SelectionSize => {
    const measured = known.get(name);
    if (measured) return measured;
    const fragment = fragments.get(name);
    if (!fragment) return nothing;
    known.set(name, nothing);
    countDirectives(fragment.directives);
    const size = ofSelections(fragment.selectionSet);
    known.set(name, size);
    return size;
  };

  let largest = nothing;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      ofFragment(definition.name.value);
    } else if (definition.kind === Kind.OPERATION_DEFINITION) {
      text.operations += 1;
      countDirectives(definition.directives);
      for (const { defaultValue, directives } of definition.variableDefinitions ?? []) {
        countDirectives(directives);
        if (defaultValue) text.values += countLiterals(defaultValue);
      }
      largest = larger(largest, ofSelections(definition.selectionSet));
    }
  }
  return { ...text, ...largest };
};

/**
 * Counts the values in variables: each scalar, list and object. It stops soon after `limit`, and returns a
 * number above it.
 */
export const countVariableValues = (variables: Readonly<Record<string, unknown>>, limit: number): number => {
  const open: unknown[] = [variables];
  let values = 0;
  while (open.length > 0 && values <= limit) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    const inner: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
    values += inner.length;
    if (values <= limit) open.push(...inner);
  }
  return values;
};

const countLiterals = (literal: ValueNode): number => {
  const open = [literal];
  let values = 0;
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    values += 1;
    if (value.kind === Kind.LIST) open.push(...value.values);
    if (value.kind === Kind.OBJECT) open.push(...value.fields.map((field) => field.value));
  }
  return values;
};

const spread = (size: SelectionSize): SelectionSize => ({ ...size, selections: add(size.selections, 1) });

const together = (a: SelectionSize, b: SelectionSize): SelectionSize => ({
  rootFields: add(a.rootFields, b.rootFields),
  depth: Math.max(a.depth, b.depth),
  aliases: add(a.aliases, b.aliases),
  selections: add(a.selections, b.selections),
});

const larger = (a: SelectionSize, b: SelectionSize): SelectionSize => ({
  rootFields: Math.max(a.rootFields, b.rootFields),
  depth: Math.max(a.depth, b.depth),
  aliases: Math.max(a.aliases, b.aliases),
  selections: Math.max(a.selections, b.selections),
});
