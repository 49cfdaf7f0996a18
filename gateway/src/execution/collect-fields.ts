import {
  isAbstractType,
  Kind,
  typeFromAST,
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLSchema,
  type InlineFragmentNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { isIncluded, type ClientOperation, type Conditions } from './normalise.js';

/**
 * Groups the selections of an object by response name, in the order of the document (section 6.3.2 of the
 * GraphQL specification). Fragments that are deferred are added to `later` instead.
 */
export const collectFields = (
  document: Pick<ClientOperation, 'fragments' | 'deferred'> & {
    schema: GraphQLSchema;
    conditions: Conditions;
  },
  type: GraphQLObjectType,
  sets: readonly SelectionSetNode[],
  later: InlineFragmentNode[] = [],
): Map<string, FieldNode[]> => {
  const { schema, fragments, deferred, conditions } = document;
  const fields = new Map<string, FieldNode[]>();
  const seen = new Set<SelectionSetNode>();
  const visit = (set: SelectionSetNode): void => {
    if (seen.has(set)) return;
    seen.add(set);
    set.selections.forEach(add);
  };
  const add = (selection: SelectionNode): void => {
    if (!isIncluded(selection, conditions)) return;
    if (selection.kind === Kind.FIELD) {
      const responseName = selection.alias?.value ?? selection.name.value;
      const known = fields.get(responseName);
      if (known) known.push(selection);
      else fields.set(responseName, [selection]);
      return;
    }
    const fragment =
      selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
    if (!fragment) return;
    const condition = fragment.typeCondition ? typeFromAST(schema, fragment.typeCondition) : type;
    const applies = condition === type || (isAbstractType(condition) && schema.isSubType(condition, type));
    if (!applies) return;
    if (selection.kind === Kind.INLINE_FRAGMENT && deferred?.has(selection)) later.push(selection);
    else visit(fragment.selectionSet);
  };
  sets.forEach(visit);
  return fields;
};
