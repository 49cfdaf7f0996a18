import {
  getNullableType,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLAbstractType,
  type GraphQLCompositeType,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type InlineFragmentNode,
  type SelectionSetNode,
} from 'graphql';
import { gatewayCode } from '../errors.js';
import { collectFields } from './collect-fields.js';
import type { Faults, PathStep, ResponseError } from './faults.js';
import { leafText } from './leaves.js';
import { fieldOf, type InternalNames } from './naming.js';
import type { ClientOperation, Conditions } from './normalise.js';
import { NumberText, quote } from './numbers.js';
import { createPendingWriter, forgetBelow, type PendingFragment } from './pending.js';

/** What the projection of one response knows and collects. */
export interface Projection {
  /** Undefined if no fetch failed and no subgraph returned an error. */
  readonly faults: Faults | undefined;
  /** The JSON texts of the root fields `__schema` and `__type`, by response name. */
  readonly introspected: Readonly<Record<string, string>>;
  /** The objects and lists that stand in the merged data more than once. */
  readonly shared: ReadonlySet<object> | undefined;
  /** What was written of them, by writer. */
  readonly texts: Map<Write, Map<object, string>>;
  readonly errors: ResponseError[];
  /** The client's path of the value that is being written, up to the current depth. */
  readonly path: PathStep[];
  /** The deferred fragments of the objects that were written; empty without `@defer`. */
  readonly pending: PendingFragment[];
}

/** Writes the merged data of an operation as the JSON text of the client's `data`. */
export type Project = (data: object, projection: Projection) => string;

/**
 * Writes one value, which is `container[key]` in the merged data. Returns undefined for a null that the
 * schema does not accept; the error is reported then, and the parent becomes null.
 */
type Write = (
  value: unknown,
  container: object,
  key: PathStep,
  projection: Projection,
  depth: number,
) => string | undefined;

/** How values of one field's type are written. */
interface Writer {
  readonly write: Write;
  /** Converts a path below such a value from internal response names to the client's. */
  readonly clientPath: (path: readonly PathStep[]) => PathStep[];
}

interface WrittenField {
  readonly responseName: string;
  readonly internalName: string;
  /** The name as JSON, with its colon, and a comma if it is not the first field. */
  readonly prefix: string;
  readonly writer: Writer;
}

/**
 * Compiles the projection of a client's operation: which fields the response has, in which order, and how
 * their values are completed as section 6.4.3 of the GraphQL specification says. A value that does not fit
 * its type, and a null where the schema does not accept it, is an error with the client's path.
 */
export const compileProjection = (
  schema: GraphQLSchema,
  { operation, fragments, deferred }: ClientOperation,
  conditions: Conditions,
  names: InternalNames,
): Project => {
  const rootType = schema.getRootType(operation.operation);
  if (!rootType) throw new Error('the schema has no root type for this operation');
  const isMutation = operation.operation === 'mutation';

  const pending = createPendingWriter(writeFields);
  const writeObject = deferred ? pending.write : writeFields;

  const compileFields = (
    type: GraphQLObjectType,
    sets: readonly SelectionSetNode[],
    later: InlineFragmentNode[],
  ): WrittenField[] =>
    [...collectFields({ schema, fragments, deferred, conditions }, type, sets, later)].flatMap(
      ([responseName, nodes], index): WrittenField[] => {
        const [node] = nodes;
        if (!node) return [];
        const prefix = `${index === 0 ? '' : ','}${quote(responseName)}:`;
        const isRoot = type === rootType;
        const definition = fieldOf(type, node.name.value);
        if (!definition) {
          const text = quote(type.name);
          const write: Write =
            node.name.value === '__typename'
              ? () => text
              : (_value, _container, _key, { introspected }) => introspected[responseName] ?? 'null';
          return [
            { responseName, internalName: '', prefix, writer: { write, clientPath: (path) => [...path] } },
          ];
        }
        const internalName = names.of(type, node, isMutation && isRoot);
        const selectionSets = nodes.flatMap(({ selectionSet }) => (selectionSet ? [selectionSet] : []));
        const coordinate = `${type.name}.${definition.name}`;
        return [
          {
            responseName,
            internalName,
            prefix,
            writer: compileType(definition.type, selectionSets, coordinate),
          },
        ];
      },
    );

  const compileWithDeferred = (
    type: GraphQLObjectType,
    sets: readonly SelectionSetNode[],
  ): WrittenField[] => {
    const later: InlineFragmentNode[] = [];
    const fields = compileFields(type, sets, later);
    pending.add(fields, later, (fragment) => compileWithDeferred(type, [fragment.selectionSet]));
    return fields;
  };

  const compileType = (
    type: GraphQLOutputType,
    selectionSets: readonly SelectionSetNode[],
    coordinate: string,
  ): Writer => {
    const isNonNull = isNonNullType(type);
    const nullable = getNullableType(type);
    let inner: Writer;
    if (isListType(nullable)) inner = compileList(compileType(nullable.ofType, selectionSets, coordinate));
    else if (isCompositeType(nullable)) inner = compileObject(nullable, selectionSets);
    else inner = compileLeaf(nullable);
    const { write: writeValue, clientPath } = inner;
    const write: Write = (value, container, key, projection, depth) => {
      if (value !== null && value !== undefined) {
        const text =
          typeof value === 'object' && projection.shared?.has(value) === true
            ? writeShared(writeValue, value, container, key, projection, depth)
            : writeValue(value, container, key, projection, depth);
        return text === undefined && !isNonNull ? 'null' : text;
      }
      // The rest is about a null: why it is there, and whether the schema accepts it.
      const faults = projection.faults?.at(container, key) ?? [];
      const here = projection.path.slice(0, depth + 1);
      for (const { error, rest } of faults) {
        projection.errors.push({ ...error, path: [...here, ...clientPath(rest)] });
      }
      if (faults.length === 0 && (isNonNull || value === undefined)) {
        projection.errors.push(invalidValue(here, `null for ${coordinate}`));
      }
      return isNonNull ? undefined : 'null';
    };
    return { write, clientPath };
  };

  const compileList = ({ write: writeItem, clientPath }: Writer): Writer => ({
    write: (value, _container, _key, projection, depth) => {
      if (!Array.isArray(value)) return reportInvalid(projection, depth, 'no list');
      let text = '[';
      for (let index = 0; index < value.length; index += 1) {
        projection.path[depth + 1] = index;
        const item = writeItem(value[index], value, index, projection, depth + 1);
        if (item === undefined) return forgetBelow(projection, depth);
        text += index === 0 ? item : `,${item}`;
      }
      return `${text}]`;
    },
    clientPath: ([index, ...rest]) => (index === undefined ? [] : [index, ...clientPath(rest)]),
  });

  const compileObject = (type: GraphQLCompositeType, selectionSets: readonly SelectionSetNode[]): Writer => {
    const byType = new Map<string, readonly WrittenField[]>();
    /** Compiled when the first object of a type is written: most members of a large union never are. */
    const fieldsOf = (concrete: GraphQLObjectType): readonly WrittenField[] => {
      const known = byType.get(concrete.name);
      if (known) return known;
      const fields = compileWithDeferred(concrete, selectionSets);
      byType.set(concrete.name, fields);
      return fields;
    };
    const typeOf = isAbstractType(type) ? runtimeType(schema, type) : () => type;
    /** A subgraph with an interface object gives the interface's name as type. */
    const isOfInterface = ({ __typename }: Record<string, unknown>): boolean =>
      isInterfaceType(type) && (__typename === undefined || __typename === type.name);
    const clientPath: Writer['clientPath'] = ([name, ...rest]) => {
      if (name === undefined) return [];
      const candidates = isObjectType(type) ? [type] : schema.getPossibleTypes(type);
      for (const candidate of candidates) {
        const field = fieldsOf(candidate).find(({ internalName }) => internalName === name);
        if (field) return [field.responseName, ...field.writer.clientPath(rest)];
      }
      return [];
    };
    let last: { readonly type: GraphQLObjectType; readonly fields: readonly WrittenField[] } | undefined;
    const write: Write = (value, _container, _key, projection, depth) => {
      if (
        typeof value !== 'object' ||
        value === null ||
        Array.isArray(value) ||
        value instanceof NumberText
      ) {
        return reportInvalid(projection, depth, 'no object');
      }
      const object = value as Record<string, unknown>;
      const concrete = typeOf(object) ?? (isOfInterface(object) ? firstType(schema, type) : undefined);
      if (!concrete) return reportInvalid(projection, depth, 'an object of an unknown type');
      if (last?.type !== concrete) last = { type: concrete, fields: fieldsOf(concrete) };
      return writeObject(last.fields, object, projection, depth);
    };
    return { write, clientPath };
  };

  const fields = compileWithDeferred(rootType, [operation.selectionSet]);
  return (data, projection) => writeObject(fields, data as Record<string, unknown>, projection, -1) ?? 'null';
};

/** Writes an object or a list that stands in the merged data more than once; without errors, only once. */
const writeShared = (
  write: Write,
  ...[value, container, key, projection, depth]: [object, object, PathStep, Projection, number]
): string | undefined => {
  const texts = projection.texts.get(write) ?? new Map<object, string>();
  const known = texts.get(value);
  if (known !== undefined) return known;
  const before = projection.errors.length;
  const text = write(value, container, key, projection, depth);
  // The errors of a value have its path, so that it is written again at the next one.
  if (text === undefined || projection.errors.length > before) return text;
  projection.texts.set(write, texts.set(value, text));
  return text;
};

const writeFields = (
  fields: readonly WrittenField[],
  object: Record<string, unknown>,
  projection: Projection,
  depth: number,
): string | undefined => {
  let text = '{';
  for (const { responseName, internalName, prefix, writer } of fields) {
    projection.path[depth + 1] = responseName;
    const value = writer.write(object[internalName], object, internalName, projection, depth + 1);
    if (value === undefined) return undefined;
    text += prefix + value;
  }
  return `${text}}`;
};

/** Returns how to find the type of an object of an interface or union. */
const runtimeType = (schema: GraphQLSchema, type: GraphQLAbstractType) => {
  const types = new Map(schema.getPossibleTypes(type).map((possible) => [possible.name, possible]));
  return (object: Record<string, unknown>): GraphQLObjectType | undefined =>
    types.get(object['__typename'] as string);
};

/**
 * Returns any type of an interface. An object without `__typename` was asked for fields of the interface
 * alone, which all its types have.
 */
const firstType = (schema: GraphQLSchema, type: GraphQLCompositeType): GraphQLObjectType | undefined =>
  isAbstractType(type) ? schema.getPossibleTypes(type)[0] : undefined;

const compileLeaf = (type: GraphQLLeafType): Writer => {
  const toText = leafText(type);
  return {
    write: (value, _container, _key, projection, depth) =>
      toText(value) ?? reportInvalid(projection, depth, `no value of ${type.name}`),
    clientPath: (path) => [...path],
  };
};

const invalidValue = (path: readonly PathStep[], what: string): ResponseError => ({
  message: 'This field has no value that fits its type.',
  path,
  extensions: { code: gatewayCode.subgraphValueInvalid },
  // A text: a list may hold thousands of such values, and a stack for each would hold up other requests.
  cause: `a subgraph returned ${what}`,
});

/** Reports a value that does not fit its type, and becomes null. */
const reportInvalid = (projection: Projection, depth: number, what: string): string | undefined => {
  projection.errors.push(invalidValue(projection.path.slice(0, depth + 1), what));
  return undefined;
};
