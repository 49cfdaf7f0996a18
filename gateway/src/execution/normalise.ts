import {
  doTypesOverlap,
  isAbstractType,
  isCompositeType,
  isLeafType,
  Kind,
  print,
  getNamedType,
  typeFromAST,
  type DirectiveNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';

/** The values of the variables that `@skip` and `@include` use. */
export type Conditions = Readonly<Record<string, unknown>>;

/** The parts of a client's document that one operation uses. */
export interface ClientOperation {
  readonly operation: OperationDefinitionNode;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
}

/** An operation as the planner sees it. */
export interface NormalisedOperation {
  /** Text without fragment definitions, aliases of the client, conditions and literals; '' without a field. */
  readonly text: string;
  /** What the client wrote for each placeholder variable of the text. */
  readonly placeholders: ReadonlyMap<string, ValueNode>;
  /** The response names that the text has for the client's fields. */
  readonly names: InternalNames;
}

/** Gives each field of an operation the response name under which subgraphs return it. */
export interface InternalNames {
  /** `parent` is the type that the field belongs to. `isMutation` is true for a root field of a mutation. */
  of(parent: GraphQLCompositeType, field: FieldNode, isMutation?: boolean): string;
}

/**
 * Maximum number of fields that an operation may have after its fragments are expanded. Generated operations
 * of large pages have some hundreds.
 */
const maxFields = 5_000;

/**
 * Rewrites a client's operation for the planner, so that what the planner fetches for itself (keys and
 * required fields) cannot meet what the client asks for:
 * - A field has its schema name as response name. Each further set of arguments of a field has another name.
 * - Each argument is a placeholder variable. Operations that differ in literals, aliases or order of
 *   conditions have the same text and share their plan.
 * - `@skip` and `@include` are applied.
 * - Selections of one field are merged, so that fragments which repeat each other do not multiply.
 * - `__typename` stands outside fragments, and only where the type is not known without it.
 *
 * `reservedNames` are fields that the planner fetches with arguments of its own, for `@requires`; the client's
 * fields of these names always get another name. Throws OPERATION_TOO_COMPLEX if the operation has more fields than the limit.
 */
export const normalise = (
  schema: GraphQLSchema,
  { operation, fragments }: ClientOperation,
  conditions: Conditions,
  reservedNames: ReadonlySet<string>,
): NormalisedOperation => {
  const root = schema.getRootType(operation.operation);
  if (!root) throw new Error('the schema has no root type for this operation');
  const naming = createNaming(schema, reservedNames);
  const isMutation = operation.operation === 'mutation';
  let fieldCount = 0;

  const write = (
    type: GraphQLCompositeType,
    sets: readonly SelectionSetNode[],
    isRoot: boolean,
    typenameIsSelected: boolean,
  ): string => {
    const { fields, byType, typename } = collect(type, sets);
    const needsTypename =
      !isRoot && !typenameIsSelected && isAbstractType(type) && (typename || byType.size > 0);
    let text = needsTypename ? '__typename ' : '';
    for (const [name, { definition, node, selectionSets }] of fields) {
      fieldCount += 1;
      if (fieldCount > maxFields) throw tooManyFields();
      text += naming.write(name, node);
      const fieldType = getNamedType(definition.type);
      if (isLeafType(fieldType)) text += ' ';
      else if (isCompositeType(fieldType))
        text += `{${write(fieldType, selectionSets, false, false) || '__typename'}}`;
    }
    for (const [condition, selectionSets] of byType) {
      const inner = write(condition, selectionSets, isRoot, typenameIsSelected || needsTypename);
      if (inner !== '') text += `...on ${condition.name}{${inner}}`;
    }
    return text;
  };

  const collect = (type: GraphQLCompositeType, sets: readonly SelectionSetNode[]) => {
    const fields = new Map<string, CollectedField>();
    const byType = new Map<GraphQLCompositeType, SelectionSetNode[]>();
    const seen = new Set<SelectionSetNode>();
    let typename = false;
    const add = (selection: SelectionNode): void => {
      if (!isIncluded(selection, conditions)) return;
      if (selection.kind === Kind.FIELD) {
        const definition = fieldOf(type, selection.name.value);
        if (selection.name.value === '__typename') typename = true;
        if (!definition) return;
        const name = naming.names.of(type, selection, isMutation && type === root);
        const known = fields.get(name);
        if (!known) {
          const selectionSets = selection.selectionSet ? [selection.selectionSet] : [];
          fields.set(name, { definition, node: selection, selectionSets });
        } else if (selection.selectionSet) known.selectionSets.push(selection.selectionSet);
        return;
      }
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (!fragment) return;
      const condition = fragment.typeCondition ? typeFromAST(schema, fragment.typeCondition) : type;
      if (!isCompositeType(condition)) return;
      if (condition === type || (isAbstractType(condition) && schema.isSubType(condition, type as never))) {
        visit(fragment.selectionSet);
      } else if (doTypesOverlap(schema, condition, type)) {
        const known = byType.get(condition);
        if (!known) byType.set(condition, [fragment.selectionSet]);
        else if (!known.includes(fragment.selectionSet)) known.push(fragment.selectionSet);
      }
    };
    const visit = (set: SelectionSetNode): void => {
      if (seen.has(set)) return;
      seen.add(set);
      set.selections.forEach(add);
    };
    sets.forEach(visit);
    return { fields, byType, typename };
  };

  const selections = write(root, [operation.selectionSet], true, true);
  const definitions = naming.definitions();
  return {
    text:
      selections === '' ? '' : `${operation.operation}${definitions && `(${definitions})`}{${selections}}`,
    placeholders: naming.placeholders,
    names: naming.names,
  };
};

interface CollectedField {
  readonly definition: GraphQLField<unknown, unknown>;
  readonly node: FieldNode;
  readonly selectionSets: SelectionSetNode[];
}

/** Returns the field of a type; undefined for `__typename`, `__schema` and `__type`, which no subgraph answers. */
export const fieldOf = (
  type: GraphQLCompositeType,
  name: string,
): GraphQLField<unknown, unknown> | undefined => ('getFields' in type ? type.getFields()[name] : undefined);

/** Returns false if `@skip` or `@include` removes the selection. */
export const isIncluded = ({ directives }: SelectionNode, conditions: Conditions): boolean =>
  directives === undefined ||
  directives.every(({ name, arguments: [argument] = [] }) => {
    if (name.value !== 'skip' && name.value !== 'include') return true;
    const value = argument?.value;
    const isTrue =
      value?.kind === Kind.VARIABLE
        ? conditions[value.name.value] === true
        : value?.kind === Kind.BOOLEAN && value.value;
    return isTrue === (name.value === 'include');
  });

/** Names that every JavaScript object has, so that no response may have them. */
const objectNames: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(Object.prototype));

interface SchemaNames {
  /** Names of all fields. */
  readonly all: ReadonlySet<string>;
  /** Names of fields that take arguments on at least one type. */
  readonly withArguments: ReadonlySet<string>;
}

const namesOfSchemas = new WeakMap<GraphQLSchema, SchemaNames>();

const namesOf = (schema: GraphQLSchema): SchemaNames => {
  const known = namesOfSchemas.get(schema);
  if (known) return known;
  const all = new Set<string>();
  const withArguments = new Set<string>();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!('getFields' in type)) continue;
    for (const field of Object.values(type.getFields())) {
      all.add(field.name);
      if ('args' in field && field.args.length > 0) withArguments.add(field.name);
    }
  }
  const names = { all, withArguments };
  namesOfSchemas.set(schema, names);
  return names;
};

/** Gives out response names and placeholders, in the order in which they are first asked for. */
const createNaming = (schema: GraphQLSchema, reservedNames: ReadonlySet<string>) => {
  const { all, withArguments } = namesOf(schema);
  const byKey = new Map<string, string>();
  const taken = new Set<string>();
  const written = new Map<string, string>();
  const placeholders = new Map<string, ValueNode>();
  const types: string[] = [];

  const freeName = (name: string): string => {
    let number = taken.size;
    while (all.has(`${name}__${number}`)) number += 1_000;
    return `${name}__${number}`;
  };

  const placeholder = (value: ValueNode, type: string): string => {
    const name = `p${placeholders.size}`;
    placeholders.set(name, value);
    types.push(`$${name}:${type}`);
    return `$${name}`;
  };

  const of: InternalNames['of'] = (parent, field, isMutation = false) => {
    const name = field.name.value;
    const kept = keptDirectives(field);
    if (!isMutation && kept.length === 0 && !withArguments.has(name) && !objectNames.has(name)) return name;
    const definition = fieldOf(parent, name);
    const texts = (field.arguments ?? [])
      .map((argument) => {
        const type = definition?.args.find((one) => one.name === argument.name.value)?.type;
        return `${argument.name.value}:${String(type)}:${print(argument.value)}`;
      })
      .sort();
    // A mutation runs once for each response name, even if two have the same arguments.
    const key = [name, ...texts, ...kept.map(print), isMutation ? (field.alias?.value ?? name) : ''].join(
      '\n',
    );
    const known = byKey.get(key);
    if (known !== undefined) return known;
    const isFree = !taken.has(name) && !objectNames.has(name) && !reservedNames.has(name);
    const internal = isFree ? name : freeName(name);
    taken.add(internal);
    byKey.set(key, internal);
    const args = (field.arguments ?? []).map((argument) => {
      const type = definition?.args.find((one) => one.name === argument.name.value)?.type;
      return `${argument.name.value}:${placeholder(argument.value, String(type))}`;
    });
    const directives = kept.map((directive) => {
      const declared = schema.getDirective(directive.name.value);
      const values = (directive.arguments ?? []).map((argument) => {
        const type = declared?.args.find((one) => one.name === argument.name.value)?.type;
        return `${argument.name.value}:${placeholder(argument.value, String(type))}`;
      });
      return `@${directive.name.value}${values.length > 0 ? `(${values.join(',')})` : ''}`;
    });
    written.set(
      internal,
      `${internal}:${name}${args.length > 0 ? `(${args.join(',')})` : ''}${directives.join('')}`,
    );
    return internal;
  };

  return {
    names: { of },
    placeholders,
    /** Returns the text of a field without its selections. */
    write: (internal: string, field: FieldNode): string => written.get(internal) ?? field.name.value,
    definitions: (): string => types.join(','),
  };
};

/** Directives that subgraphs may know. */
const keptDirectives = ({ directives = [] }: FieldNode): readonly DirectiveNode[] =>
  directives.length === 0
    ? []
    : directives.filter(({ name }) => name.value !== 'skip' && name.value !== 'include');

const tooManyFields = () =>
  refusedOperation(
    gatewayCode.operationTooComplex,
    `The operation asks for more than ${maxFields} fields once its fragments are expanded. Ask for less, or in several requests.`,
  );
