import {
  doTypesOverlap,
  isAbstractType,
  isCompositeType,
  isInterfaceType,
  isLeafType,
  Kind,
  getNamedType,
  typeFromAST,
  visit as visitNodes,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLAbstractType,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLSchema,
  type InlineFragmentNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';
import type { Access } from './access.js';
import { createNaming, fieldOf, type InternalNames } from './naming.js';

/** The values of the variables that `@skip` and `@include` use. */
export type Conditions = Readonly<Record<string, unknown>>;

/** On what the form of an operation depends. */
export interface OperationConditions {
  /** The variables that `@skip`, `@include` and `@defer` use, in a fixed order. */
  readonly conditionVariables: readonly string[];
  /** Whether `@defer` stands in the document, active or not. */
  readonly hasDefer: boolean;
}

/** The parts of a client's document that one operation uses. */
export interface ClientOperation {
  readonly operation: OperationDefinitionNode;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  /** The fragments that are deferred, with the client's labels; undefined if there is none (see defer.ts). */
  readonly deferred?: ReadonlyMap<InlineFragmentNode, string | undefined> | undefined;
}

/** An operation as the planner sees it. */
export interface NormalisedOperation {
  /** Text without fragment definitions, the client's aliases, conditions and literals; '' without a field. */
  readonly text: string;
  /** What the client wrote for each placeholder variable of the text. */
  readonly placeholders: ReadonlyMap<string, ValueNode>;
  /** The response names that the text has for the client's fields. */
  readonly names: InternalNames;
  /** Coordinates of the fields that were removed because the viewer may not see them. */
  readonly refused: ReadonlySet<string>;
  /** The labels that the text has for a deferred fragment: one for each type that it is narrowed to. */
  readonly labels: ReadonlyMap<InlineFragmentNode, readonly string[]>;
}

/**
 * Maximum number of fields that an operation may have after its fragments are expanded. Generated operations
 * of large pages have some hundreds.
 */
const maxFields = 5_000;

/**
 * Rewrites a client's operation for the planner, so that what the planner fetches for itself (keys and
 * required fields) cannot meet what the client asks for:
 * - A field has its schema name as response name. A further set of arguments of it has another name.
 * - Each argument is a placeholder variable. Operations that differ in literals, aliases or order of
 *   conditions have the same text and share their plan.
 * - `@skip` and `@include` are applied.
 * - Selections of one field are merged, so that fragments which repeat each other do not multiply.
 * - `__typename` stands outside fragments, and only where the type is not known without it.
 * - A field that the viewer may not see is removed. If the viewer may see it on some types of an interface,
 *   each of these has it in a fragment.
 * - Each fragment of `deferred` has a label that no other has, and no leaf that stands beside it.
 *
 * `reservedNames` are fields that the planner fetches with arguments of its own, for `@requires`; the
 * client's fields of these names always get another name. Throws OPERATION_TOO_COMPLEX if the operation has
 * more fields than the limit.
 */
export const normalise = (
  schema: GraphQLSchema,
  { operation, fragments, deferred }: ClientOperation,
  conditions: Conditions,
  reservedNames: ReadonlySet<string>,
  access: Access | undefined,
): NormalisedOperation => {
  const root = schema.getRootType(operation.operation);
  if (!root) throw new Error('the schema has no root type for this operation');
  const naming = createNaming(schema, reservedNames);
  const isMutation = operation.operation === 'mutation';
  const refused = new Set<string>();
  const labels = new Map<InlineFragmentNode, string[]>();
  let labelCount = 0;
  let fieldCount = 0;

  const write = (
    type: GraphQLCompositeType,
    sets: readonly SelectionSetNode[],
    isRoot: boolean,
    typenameIsSelected: boolean,
    known?: ReadonlySet<string>,
  ): string => {
    const { fields, byType, later, typename } = collect(type, sets);
    const needsTypename =
      !isRoot &&
      !typenameIsSelected &&
      isAbstractType(type) &&
      (typename || byType.size > 0 || later.size > 0);
    let text = needsTypename ? '__typename ' : '';
    for (const [name, { definition, node, selectionSets }] of fields) {
      fieldCount += 1;
      if (fieldCount > maxFields) throw tooManyFields();
      const fieldType = getNamedType(definition.type);
      if (known?.has(name) && isLeafType(fieldType)) continue;
      text += naming.write(name, node);
      if (isLeafType(fieldType)) text += ' ';
      else if (isCompositeType(fieldType))
        text += `{${write(fieldType, selectionSets, false, false) || '__typename'}}`;
    }
    for (const [condition, selectionSets] of byType) {
      const inner = write(condition, selectionSets, isRoot, typenameIsSelected || needsTypename, known);
      if (inner !== '') text += `...on ${condition.name}{${inner}}`;
    }
    for (const [fragment, conditions] of later) {
      const label = `d${labelCount++}`;
      labels.set(fragment, [...(labels.get(fragment) ?? []), label]);
      const here = new Set([...(known ?? []), ...fields.keys()]);
      for (const condition of conditions) {
        const inner = write(
          condition,
          [fragment.selectionSet],
          isRoot,
          typenameIsSelected || needsTypename,
          here,
        );
        if (inner !== '') text += `...on ${condition.name}@defer(label:"${label}"){${inner}}`;
      }
    }
    return text;
  };

  const collect = (type: GraphQLCompositeType, sets: readonly SelectionSetNode[]) => {
    const fields = new Map<string, CollectedField>();
    const byType = new Map<GraphQLCompositeType, SelectionSetNode[]>();
    const later = new Map<InlineFragmentNode, readonly GraphQLCompositeType[]>();
    const seen = new Set<SelectionSetNode>();
    let typename = false;
    const addTo = (one: GraphQLCompositeType, set: SelectionSetNode): void => {
      const known = byType.get(one);
      if (!known) byType.set(one, [set]);
      else if (!known.includes(set)) known.push(set);
    };
    const add = (selection: SelectionNode): void => {
      if (!isIncluded(selection, conditions)) return;
      if (selection.kind === Kind.FIELD) {
        const definition = fieldOf(type, selection.name.value);
        if (selection.name.value === '__typename') typename = true;
        if (!definition) return;
        const divided = access?.divide(type, definition.name);
        if (divided) {
          // What is written for an object depends on its type.
          typename = true;
          for (const one of divided.refused) refused.add(`${one.name}.${definition.name}`);
          const set: SelectionSetNode = { kind: Kind.SELECTION_SET, selections: [selection] };
          for (const one of divided.seen) addTo(one, set);
          return;
        }
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
      const isWhole =
        condition === type || (isAbstractType(condition) && schema.isSubType(condition, type as never));
      if (!isWhole && !doTypesOverlap(schema, condition, type)) return;
      if (selection.kind === Kind.INLINE_FRAGMENT && deferred?.has(selection)) {
        // The planner fails on many deferred fragments of abstract types.
        const narrowest = isWhole ? type : condition;
        const types = isAbstractType(narrowest) ? schema.getPossibleTypes(narrowest) : [narrowest];
        later.set(
          selection,
          types.filter((one) => doTypesOverlap(schema, one, type)),
        );
      } else if (isWhole) visit(fragment.selectionSet);
      else for (const one of narrowed(type, condition)) addTo(one, fragment.selectionSet);
    };
    /**
     * An interface may be an interface object of a subgraph. The planner cannot narrow that to an abstract
     * type which does not implement the interface, so that the object types stand for it.
     */
    const narrowed = (
      outer: GraphQLCompositeType,
      condition: GraphQLCompositeType,
    ): readonly GraphQLCompositeType[] =>
      isInterfaceType(outer) && isAbstractType(condition) && !isSubtype(outer, condition)
        ? schema.getPossibleTypes(condition).filter((one) => schema.isSubType(outer, one))
        : [condition];
    const isSubtype = (outer: GraphQLInterfaceType, condition: GraphQLAbstractType): boolean =>
      isInterfaceType(condition) && schema.isSubType(outer, condition);
    const visit = (set: SelectionSetNode): void => {
      if (seen.has(set)) return;
      seen.add(set);
      set.selections.forEach(add);
    };
    sets.forEach(visit);
    return { fields, byType, later, typename };
  };

  const selections = write(root, [operation.selectionSet], true, true);
  const definitions = naming.definitions();
  return {
    text:
      selections === '' ? '' : `${operation.operation}${definitions && `(${definitions})`}{${selections}}`,
    placeholders: naming.placeholders,
    names: naming.names,
    refused,
    labels,
  };
};

interface CollectedField {
  readonly definition: GraphQLField<unknown, unknown>;
  readonly node: FieldNode;
  readonly selectionSets: SelectionSetNode[];
}

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

/** Returns the variables that decide about `@skip`, `@include` and `@defer` anywhere in a document. */
export const conditionsOf = (document: DocumentNode): OperationConditions => {
  const found = new Set<string>();
  let hasDefer = false;
  visitNodes(document, {
    Directive: ({ name: { value: directive }, arguments: args = [] }) => {
      if (directive === 'defer') hasDefer = true;
      else if (directive !== 'skip' && directive !== 'include') return;
      for (const { name, value } of args) {
        if (name.value === 'if' && value.kind === Kind.VARIABLE) found.add(value.name.value);
      }
    },
  });
  return { conditionVariables: [...found], hasDefer };
};

const tooManyFields = () =>
  refusedOperation(
    gatewayCode.operationTooComplex,
    `The operation asks for more than ${maxFields} fields once its fragments are expanded. Ask for less, or in several requests.`,
  );
