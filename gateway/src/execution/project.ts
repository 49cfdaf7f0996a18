import {
  isAbstractType,
  isInterfaceType,
  isNonNullType,
  isObjectType,
  Kind,
  type FieldNode,
  type GraphQLAbstractType,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  type InlineFragmentNode,
  type SelectionSetNode,
} from 'graphql';
import type { Access } from './access.js';
import { collectFields } from './collect-fields.js';
import {
  compileCompletion,
  compileRefused,
  reportInvalid,
  reportRefused,
  writerOfLeaf,
  type Projection,
  type Write,
  type Writer,
} from './completion.js';
import type { PathStep } from './faults.js';
import { fieldOf, type InternalNames } from './naming.js';
import type { ClientOperation, Conditions } from './normalise.js';
import { NumberText, quote } from './numbers.js';
import { createPendingWriter } from './pending.js';

/** Writes the merged data of an operation as the client's `data`. */
export type Project = (data: object, projection: Projection) => void;

interface WrittenField {
  readonly responseName: string;
  readonly internalName: string;
  /** The name as JSON, with its colon, and a comma if it is not the first field. */
  readonly prefix: string;
  readonly writer: Writer;
}

/** The fields of an object, or that the viewer may not see objects of its type. */
type CompiledFields = readonly WrittenField[] | 'refused';

/** What is written of an object. */
interface Written {
  readonly type: GraphQLObjectType;
  /** All types that the object may have. Nothing is written that is refused on one of them. */
  readonly types: readonly GraphQLObjectType[];
  readonly sets: readonly SelectionSetNode[];
  /** What other payloads of the response have of it; empty without `@defer`. */
  readonly elsewhere: readonly SelectionSetNode[];
}

/**
 * Compiles the projection of a client's operation: which fields the response has, in which order, and how
 * their values are completed as section 6.4.3 of the GraphQL specification says. A value that does not fit
 * its type, and a null where the schema does not accept it, is an error with the client's path. So is what
 * the viewer may not see: a field, or an object because of its type.
 */
export const compileProjection = (
  schema: GraphQLSchema,
  { operation, fragments, deferred }: ClientOperation,
  conditions: Conditions,
  names: InternalNames,
  access: Access | undefined,
): Project => {
  const rootType = schema.getRootType(operation.operation);
  if (!rootType) throw new Error('the schema has no root type for this operation');
  const isMutation = operation.operation === 'mutation';

  const pending = createPendingWriter(writeFields);
  const writeObject = deferred ? pending.write : writeFields;

  const compileFields = (written: Written): readonly WrittenField[] => {
    const { type, types, sets, elsewhere } = written;
    const later: InlineFragmentNode[] = [];
    const collected = collectFields({ schema, fragments, deferred, conditions }, type, sets, later);
    const others =
      elsewhere.length > 0
        ? collectFields({ schema, fragments, deferred: undefined, conditions }, type, elsewhere)
        : undefined;
    const fields: readonly WrittenField[] = [...collected].flatMap(
      ([responseName, nodes], index): WrittenField[] => {
        const [node] = nodes;
        if (!node) return [];
        const prefix = `${index === 0 ? '' : ','}${quote(responseName)}:`;
        const definition = fieldOf(type, node.name.value);
        const isTypename = node.name.value === '__typename';
        if ((definition || isTypename) && !isSeen(types, definition)) {
          const writer = compileRefused(!definition || isNonNullType(definition.type));
          return [{ responseName, internalName: '', prefix, writer }];
        }
        if (!definition) {
          const typename = quote(type.name);
          const writer = writerOfLeaf((_value, _container, _key, { output, introspected }) => {
            output.write(isTypename ? typename : (introspected[responseName] ?? 'null'));
            return true;
          });
          return [{ responseName, internalName: '', prefix, writer }];
        }
        const internalName = names.of(type, node, isMutation && type === rootType);
        const setsElsewhere = setsOf(others?.get(responseName) ?? []);
        const writer = compileCompletion(definition.type, {
          compileNamed: (named) => compileObject(named, setsOf(nodes), setsElsewhere),
          coordinate: `${type.name}.${definition.name}`,
          isElsewhere: setsElsewhere.length > 0,
          siblingAt: (path) => {
            const found = fieldAt(fields, path);
            return found && { path: found.clientPath, isBefore: fields.indexOf(found.field) < index };
          },
        });
        return [{ responseName, internalName, prefix, writer }];
      },
    );
    const beside = { kind: Kind.SELECTION_SET, selections: [...collected.values()].flat() } as const;
    pending.add(fields, later, (fragment) => {
      const otherFragments = setsOf(later.filter((one) => one !== fragment));
      const sets = [fragment.selectionSet];
      return compileFields({ ...written, sets, elsewhere: [...elsewhere, beside, ...otherFragments] });
    });
    return fields;
  };

  /** Returns whether the viewer may see a field on all of the types; without a definition, `__typename`. */
  const isSeen = (
    types: readonly GraphQLObjectType[],
    definition: GraphQLField<unknown, unknown> | undefined,
  ): boolean =>
    !access ||
    types.every((one) => (definition ? access.seesField(one, definition.name) : access.seesType(one)));

  const compileObject = (
    type: GraphQLCompositeType,
    sets: readonly SelectionSetNode[],
    elsewhere: readonly SelectionSetNode[],
  ): Writer => {
    const byType = new Map<string, CompiledFields>();
    /** Compiled when the first object of a type is written: most members of a large union never are. */
    const fieldsOf = (concrete: GraphQLObjectType): CompiledFields => {
      const known = byType.get(concrete.name);
      if (known) return known;
      const isRefused = access?.seesType(concrete) === false;
      const fields = isRefused
        ? 'refused'
        : compileFields({ type: concrete, types: [concrete], sets, elsewhere });
      byType.set(concrete.name, fields);
      return fields;
    };
    /**
     * Returns the fields of an object without `__typename`. It was asked for fields of the interface alone,
     * which all its types have.
     */
    const fieldsOfAny = (): CompiledFields => {
      const types = isAbstractType(type) ? schema.getPossibleTypes(type) : [];
      const [first] = types;
      if (!first) return [];
      if (!access) return fieldsOf(first);
      return types.every(access.seesType)
        ? compileFields({ type: first, types, sets, elsewhere })
        : 'refused';
    };
    const typeOf = isAbstractType(type) ? runtimeType(schema, type) : () => type;
    /** A subgraph with an interface object gives the interface's name as type. */
    const isOfInterface = ({ __typename }: Record<string, unknown>): boolean =>
      isInterfaceType(type) && (__typename === undefined || __typename === type.name);
    const clientPath: Writer['clientPath'] = (path) => {
      if (path.length === 0) return [];
      const candidates = isObjectType(type) ? [type] : schema.getPossibleTypes(type);
      for (const candidate of candidates) {
        const fields = fieldsOf(candidate);
        const found = fields === 'refused' ? undefined : fieldAt(fields, path);
        if (found) return found.clientPath;
      }
      return [];
    };
    let last: { readonly type: GraphQLObjectType | undefined; readonly fields: CompiledFields } | undefined;
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
      const concrete = typeOf(object);
      if (!concrete && !isOfInterface(object))
        return reportInvalid(projection, depth, 'an object of an unknown type');
      if (!last || last.type !== concrete)
        last = { type: concrete, fields: concrete ? fieldsOf(concrete) : fieldsOfAny() };
      if (last.fields === 'refused') return reportRefused(projection, depth);
      return writeObject(last.fields, object, projection, depth);
    };
    return { write, clientPath };
  };

  const fields = compileFields({
    type: rootType,
    types: [rootType],
    sets: [operation.selectionSet],
    elsewhere: [],
  });
  return (data, projection) => {
    if (writeObject(fields, data as Record<string, unknown>, projection, -1)) return;
    projection.output.cut(0);
    projection.output.write('null');
  };
};

const writeFields = (
  fields: readonly WrittenField[],
  object: Record<string, unknown>,
  projection: Projection,
  depth: number,
): boolean => {
  const { output, path } = projection;
  output.write('{');
  for (const { responseName, internalName, prefix, writer } of fields) {
    path[depth + 1] = responseName;
    output.write(prefix);
    if (!writer.write(object[internalName], object, internalName, projection, depth + 1)) return false;
  }
  output.write('}');
  return true;
};

/** Finds the field that a path in internal names leads to, and converts the path to the client's names. */
const fieldAt = (
  fields: readonly WrittenField[],
  [name, ...rest]: readonly PathStep[],
): { field: WrittenField; clientPath: PathStep[] } | undefined => {
  const field = fields.find(({ internalName }) => internalName === name);
  return field && { field, clientPath: [field.responseName, ...field.writer.clientPath(rest)] };
};

const setsOf = (nodes: readonly (FieldNode | InlineFragmentNode)[]): SelectionSetNode[] =>
  nodes.flatMap(({ selectionSet }) => selectionSet ?? []);

/** Returns how to find the type of an object of an interface or union. */
const runtimeType = (schema: GraphQLSchema, type: GraphQLAbstractType) => {
  const types = new Map(schema.getPossibleTypes(type).map((possible) => [possible.name, possible]));
  return (object: Record<string, unknown>): GraphQLObjectType | undefined =>
    types.get(object['__typename'] as string);
};
