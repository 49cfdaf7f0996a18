import {
  Kind,
  parse,
  valueFromASTUntyped,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import type { SeenRequest } from '../../../gateway/test/support/stub-subgraph.js';

/** What a loose subgraph answers: objects by field name, with `__typename` where types are distinguished. */
export interface LooseData {
  readonly Query?: Readonly<Record<string, unknown>>;
  readonly Mutation?: Readonly<Record<string, unknown>>;
  /** Returns the entity of a representation. */
  readonly entity?: (representation: Readonly<Record<string, unknown>>) => unknown;
}

/** JSON text that is put into the answer as it is. */
export const raw = (json: string): string => `raw(${json})`;

/**
 * Creates the `answer` of a subgraph that checks no types: it returns for each field that was asked whatever
 * the data have there, and nothing for a field that they do not have. `more` is added to each answer, e.g.
 * errors.
 */
export const loosely =
  (data: LooseData | (() => LooseData), more: () => object = () => ({})) =>
  ({ query, variables }: SeenRequest): string => {
    const document = parse(query);
    const operation = document.definitions.find(
      (definition) => definition.kind === Kind.OPERATION_DEFINITION,
    );
    if (!operation) throw new Error('the gateway sent no operation');
    const { entity, Query, Mutation } = typeof data === 'function' ? data() : data;
    const root: Record<string, unknown> = {
      ...(operation.operation === 'mutation' ? Mutation : Query),
    };
    if (entity) {
      root['_entities'] = ({ representations }: { representations: Record<string, unknown>[] }) =>
        representations.map(entity);
    }
    const selected = select(root, operation.selectionSet, { document, variables });
    const text = JSON.stringify({ data: selected, ...more() });
    return text.replace(
      /"raw\(((?:[^"\\]|\\.)*)\)"/g,
      (_, json: string) => JSON.parse(`"${json}"`) as string,
    );
  };

interface Request {
  readonly document: DocumentNode;
  readonly variables: Readonly<Record<string, unknown>>;
}

const select = (value: unknown, selectionSet: SelectionSetNode | undefined, request: Request): unknown => {
  if (Array.isArray(value)) return value.map((item) => select(item, selectionSet, request));
  if (typeof value !== 'object' || value === null || !selectionSet) return value;
  const source = value as Record<string, unknown>;
  const selected: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const visit = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const found = fieldOf(source, selection, request);
        const name = (selection.alias ?? selection.name).value;
        if (found !== undefined) selected[name] = select(found, selection.selectionSet, request);
        continue;
      }
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT
          ? selection
          : request.document.definitions.find(
              (one): one is FragmentDefinitionNode =>
                one.kind === Kind.FRAGMENT_DEFINITION && one.name.value === selection.name.value,
            );
      if (!fragment) continue;
      const type = fragment.typeCondition?.name.value;
      const types = [source['__typename'], ...((source['__implements'] as string[] | undefined) ?? [])];
      const matches = type === undefined || source['__typename'] === undefined || types.includes(type);
      if (matches) visit(fragment.selectionSet);
    }
  };
  visit(selectionSet);
  return selected;
};

const fieldOf = (source: Record<string, unknown>, field: FieldNode, { variables }: Request): unknown => {
  const value = Object.hasOwn(source, field.name.value) ? source[field.name.value] : undefined;
  if (typeof value !== 'function') return value;
  const args = Object.fromEntries(
    (field.arguments ?? []).map((argument) => [
      argument.name.value,
      valueFromASTUntyped(argument.value, variables),
    ]),
  );
  return (value as (args: Record<string, unknown>) => unknown)(args);
};
