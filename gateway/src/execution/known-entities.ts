import {
  getNamedType,
  isCompositeType,
  isObjectType,
  Kind,
  type ASTNode,
  type DocumentNode,
  type FieldNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import type { FetchStep } from './compile.js';
import type { Execution } from './execution.js';
import { fieldOf } from './naming.js';
import type { Representation } from './representations.js';

type JsonObject = Record<string, unknown>;

/** What one subgraph returned in a request for a group of fetches, by the text of the representation. */
export interface KnownEntities {
  /** Null for an entity that the subgraph does not have. */
  readonly found: Map<string, JsonObject | null>;
  /** The keys of provided entities that were found, by type, where one member is the whole key. */
  readonly keys: Map<unknown, Set<string>>;
  /** Fetches under way. */
  readonly asked: Map<string, Promise<void>>;
}

/** Objects of a fetch that have everything that a group of entity fetches asks the same subgraph for. */
export interface ProvidedEntities {
  readonly group: number;
  /** The response names that lead from an object of the fetch to them, through lists. */
  readonly path: readonly string[];
  readonly representation: Pick<Representation, 'write' | 'singleKey'>;
  readonly names: readonly string[];
}

/** A fetch while its plan is compiled. */
export interface CompiledFetch {
  readonly step: FetchStep;
  readonly document: DocumentNode;
}

/**
 * Finds out which fetches of a query's plan ask a subgraph for the same fields of the same entities, and
 * notes it in their steps: `group` is equal for fetches that can share entities, and `provides` are the
 * objects that have the fields of a group. A fetch with rewrites or with nested required fields has no
 * group.
 */
export const findSharedEntities = (fetches: readonly CompiledFetch[], schema: GraphQLSchema): void => {
  const groups = new Map<string, CompiledFetch[]>();
  for (const fetch of fetches) {
    const { representation, subgraph, outputRewrites, unnamed } = fetch.step;
    if (representation?.memberCount === undefined || outputRewrites) continue;
    const key = `${subgraph}\n${unnamed}`;
    groups.set(key, [...(groups.get(key) ?? []), fetch]);
  }
  [...groups.values()].forEach((members, group) => {
    const [first] = members;
    if (!first) return;
    const providers = providersOf(first, members, fetches, schema);
    if (members.length === 1 && providers.size === 0) return;
    for (const { step } of members) step.group = group;
    for (const [{ step }, found] of providers) {
      step.provides.push(...found.map((provided) => ({ ...provided, group })));
    }
  });
};

type Provided = Omit<ProvidedEntities, 'group'>;

/** Returns the fetches that bring everything that the fetches of a group ask for, each with its objects. */
const providersOf = (
  { step, document }: CompiledFetch,
  members: readonly CompiledFetch[],
  fetches: readonly CompiledFetch[],
  schema: GraphQLSchema,
): Map<CompiledFetch, Provided[]> => {
  const providers = new Map<CompiledFetch, Provided[]>();
  const entity = entitySelection(document);
  const { representation } = step;
  if (!entity || !representation || !isObjectType(schema.getType(entity.type))) return providers;
  const requested = entity.selections.selections.map(textOf);
  const names = entity.selections.selections.flatMap((selection) =>
    selection.kind === Kind.FIELD ? [responseNameOf(selection)] : [],
  );
  if (names.length < requested.length) return providers;
  for (const fetch of fetches) {
    if (fetch.step.subgraph !== step.subgraph || fetch.step.outputRewrites) continue;
    const found: Provided[] = [];
    eachObjectSelection(fetch.document, schema, (type, path, fields) => {
      const isMember = path.length === 0 && members.includes(fetch);
      if (isMember || type.name !== entity.type) return;
      const texts = new Set(fields.map(textOf));
      if (requested.every((text) => texts.has(text))) found.push({ path, representation, names });
    });
    if (found.length > 0) providers.set(fetch, found);
  }
  return providers;
};

/** Returns what a fetch of entities of one type asks for; undefined for several types. */
const entitySelection = (
  document: DocumentNode,
): { readonly type: string; readonly selections: SelectionSetNode } | undefined => {
  const [root] = operationOf(document)?.selectionSet.selections ?? [];
  const selections = root?.kind === Kind.FIELD ? (root.selectionSet?.selections ?? []) : [];
  const [fragment] = selections;
  if (fragment?.kind !== Kind.INLINE_FRAGMENT || selections.length > 1) return undefined;
  const type = fragment.typeCondition?.name.value;
  return type === undefined ? undefined : { type, selections: fragment.selectionSet };
};

/**
 * Visits the objects of a fetch whose type is known: with the path from the objects of the fetch, and their
 * fields outside type conditions on other types.
 */
const eachObjectSelection = (
  document: DocumentNode,
  schema: GraphQLSchema,
  visit: (type: GraphQLNamedType, path: readonly string[], fields: readonly FieldNode[]) => void,
): void => {
  const search = (type: GraphQLNamedType | undefined, path: readonly string[], set: SelectionSetNode) => {
    if (!isCompositeType(type)) return;
    const fields: FieldNode[] = [];
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) fields.push(selection);
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value ?? type.name;
        search(schema.getType(condition), path, selection.selectionSet);
      }
    }
    if (isObjectType(type)) visit(type, path, fields);
    for (const field of fields) {
      const definition = fieldOf(type, field.name.value);
      if (!definition || !field.selectionSet) continue;
      search(getNamedType(definition.type), [...path, responseNameOf(field)], field.selectionSet);
    }
  };
  const operation = operationOf(document);
  if (!operation) return;
  const [root] = operation.selectionSet.selections;
  const isEntityFetch = root?.kind === Kind.FIELD && root.name.value === '_entities';
  if (!isEntityFetch) search(schema.getQueryType() ?? undefined, [], operation.selectionSet);
  else if (root.selectionSet) {
    for (const selection of root.selectionSet.selections) {
      if (selection.kind !== Kind.INLINE_FRAGMENT) continue;
      search(schema.getType(selection.typeCondition?.name.value ?? ''), [], selection.selectionSet);
    }
  }
};

/** Returns how a node is written in its document, which has no ignored characters. */
const textOf = ({ loc }: ASTNode): string => loc?.source.body.slice(loc.start, loc.end) ?? '';

const operationOf = ({ definitions }: DocumentNode) =>
  definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);

const responseNameOf = (field: FieldNode): string => (field.alias ?? field.name).value;

/** Returns what is known of the entities of a group; undefined for a fetch that has none. */
export const knownEntitiesOf = (
  group: number | undefined,
  execution: Execution,
): KnownEntities | undefined => {
  if (group === undefined || !execution.shares) return undefined;
  const groups = (execution.known ??= new Map<number, KnownEntities>());
  let known = groups.get(group);
  if (!known) {
    known = { found: new Map(), keys: new Map(), asked: new Map() };
    groups.set(group, known);
  }
  return known;
};

/** Remembers the entities in an object of a fetch that other fetches would ask the same subgraph for. */
export const rememberProvided = ({ provides }: FetchStep, object: JsonObject, execution: Execution): void => {
  for (const { group, path, representation, names } of provides) {
    const known = knownEntitiesOf(group, execution);
    if (known) remember(object, path, 0, { representation, names, known });
  }
};

const remember = (
  value: unknown,
  path: readonly string[],
  depth: number,
  entities: Pick<ProvidedEntities, 'representation' | 'names'> & { readonly known: KnownEntities },
): void => {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) remember(item, path, depth, entities);
    return;
  }
  const object = value as JsonObject;
  const step = path[depth];
  if (step !== undefined) {
    remember(object[step], path, depth + 1, entities);
    return;
  }
  const { representation, names, known } = entities;
  const { write, singleKey } = representation;
  const key = singleKey === undefined ? undefined : object[singleKey];
  const ofType = typeof key === 'string' ? known.keys.get(object['__typename']) : undefined;
  if (ofType?.has(key as string)) return;
  for (const name of names) if (object[name] === undefined) return;
  if (ofType) ofType.add(key as string);
  else if (typeof key === 'string') known.keys.set(object['__typename'], new Set([key]));
  const text = write(object);
  if (typeof text === 'string' && !known.found.has(text)) known.found.set(text, object);
};
