import type { Change } from '@graphql-inspector/core';
import {
  doTypesOverlap,
  isCompositeType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql';

/**
 * Whether a field's new type conflicts with the field of the same name in another type, although its
 * published type did not, where one operation may select both: of two members of a union, of two
 * implementations, or of an interface and its implementation. GraphQL refuses such an operation, even if the
 * new type is only non-null, which is no break otherwise.
 */
export const conflicts = ({ type, path }: Change, published: GraphQLSchema, next: GraphQLSchema): boolean => {
  if (type !== 'FIELD_TYPE_CHANGED') return false;
  const [typeName = '', fieldName = ''] = (path ?? '').split('.');
  const [before, after] = [fieldType(published, typeName, fieldName), fieldType(next, typeName, fieldName)];
  const changed = next.getType(typeName);
  if (!before || !after || !isCompositeType(changed)) return false;
  const scopes = Object.values(next.getTypeMap()).filter(isCompositeType);
  return scopes.some((other) => {
    const [otherBefore, otherAfter] = [
      fieldType(published, other.name, fieldName),
      fieldType(next, other.name, fieldName),
    ];
    if (other === changed || !otherBefore || !otherAfter) return false;
    if (!isSameShape(before, otherBefore) || isSameShape(after, otherAfter)) return false;
    return scopes.some((scope) => doTypesOverlap(next, scope, changed) && doTypesOverlap(next, scope, other));
  });
};

const fieldType = (schema: GraphQLSchema, type: string, field: string): GraphQLOutputType | undefined => {
  const owner = schema.getType(type);
  return isObjectType(owner) || isInterfaceType(owner) ? owner.getFields()[field]?.type : undefined;
};

/** SameResponseShape of the specification, without the fields below. */
const isSameShape = (a: GraphQLOutputType, b: GraphQLOutputType): boolean => {
  if (isNonNullType(a) || isNonNullType(b))
    return isNonNullType(a) && isNonNullType(b) && isSameShape(a.ofType, b.ofType);
  if (isListType(a) || isListType(b))
    return isListType(a) && isListType(b) && isSameShape(a.ofType, b.ofType);
  return isLeafType(a) || isLeafType(b) ? a.name === b.name : true;
};
