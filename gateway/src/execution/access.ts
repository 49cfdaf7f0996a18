import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  Kind,
  type GraphQLCompositeType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { gatewayCode } from '../errors.js';
import type { RequestContext } from '../request/context.js';
import type { Requirement, Requirements } from '../supergraph/requirements.js';
import type { ResponseError } from './faults.js';
import { fieldOf } from './naming.js';
import type { ClientOperation } from './normalise.js';

/** What the viewers of one outcome may see. */
export interface Access {
  /** Returns true if the viewer may see values of the type, or of one type of an interface or union. */
  readonly seesType: (type: GraphQLNamedType) => boolean;
  /** Returns true if the viewer may see the field, with its type and the type that it returns. */
  readonly seesField: (type: GraphQLObjectType, field: string) => boolean;
  /**
   * Returns on which object types of a type the viewer may see the field, and on which not. Returns undefined
   * if on all of them.
   */
  readonly divide: (type: GraphQLCompositeType, field: string) => DividedTypes | undefined;
}

/** The object types of an interface or union; of an object type, the type itself. */
export interface DividedTypes {
  readonly seen: readonly GraphQLObjectType[];
  readonly refused: readonly GraphQLObjectType[];
}

/** Who asks. */
export type Rights = Pick<RequestContext, 'viewer' | 'policies'>;

const none: readonly number[] = [];

/** Returns the requirements that anything in an operation meets, as sorted indexes. */
export const requirementsOf = (
  schema: GraphQLSchema,
  requirements: Requirements | undefined,
  { operation, fragments }: ClientOperation,
): readonly number[] => {
  const root = schema.getRootType(operation.operation);
  if (!requirements || !root) return none;
  const found = new Set<number>();
  const add = (indexes: readonly number[]): void => {
    for (const index of indexes) found.add(index);
  };
  const visited = new Set<string>();
  const collect = (type: GraphQLCompositeType, { selections }: SelectionSetNode): void => {
    const types = objectTypesOf(schema, type);
    for (const one of types) add(requirements.ofType(one.name));
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const field = selection.name.value;
        for (const one of types) add(requirements.ofField(one.name, field));
        const definition = fieldOf(type, field);
        if (!definition) continue;
        const returned = getNamedType(definition.type);
        add(requirements.ofType(returned.name));
        if (selection.selectionSet && isCompositeType(returned)) collect(returned, selection.selectionSet);
        continue;
      }
      const fragment =
        selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (!fragment) continue;
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        if (visited.has(selection.name.value)) continue;
        visited.add(selection.name.value);
      }
      const condition = fragment.typeCondition && schema.getType(fragment.typeCondition.name.value);
      collect(isCompositeType(condition) ? condition : type, fragment.selectionSet);
    }
  };
  collect(root, operation.selectionSet);
  return [...found].sort((a, b) => a - b);
};

/** Returns which of the requirements somebody meets: `1` or `0` for each, in their order. */
export const outcomeOf = ({ all }: Requirements, indexes: readonly number[], rights: Rights): string => {
  let outcome = '';
  for (const index of indexes) outcome += all[index] && meets(all[index], rights) ? '1' : '0';
  return outcome;
};

const meets = (requirement: Requirement, { viewer, policies }: Rights): boolean => {
  if (requirement.kind === 'authenticated') return viewer !== null;
  const held = requirement.kind === 'policies' ? policies : (viewer?.scopes ?? []);
  return requirement.anyOf.some((names) => names.every((name) => held.includes(name)));
};

/**
 * Returns what may be seen after an outcome; undefined if it is all. Requirements that are not in `indexes`
 * are not met.
 */
export const accessOf = (
  schema: GraphQLSchema,
  requirements: Requirements | undefined,
  indexes: readonly number[],
  outcome: string,
): Access | undefined => {
  if (!requirements || !outcome.includes('0')) return undefined;
  const met = new Set(indexes.filter((_index, position) => outcome[position] === '1'));
  const isMet = (index: number): boolean => met.has(index);

  const seesType: Access['seesType'] = (type) => {
    if (!isAbstractType(type)) return requirements.ofType(type.name).every(isMet);
    const types = schema.getPossibleTypes(type);
    return types.length === 0 || types.some(seesType);
  };

  const seesField: Access['seesField'] = (type, field) => {
    const definition = type.getFields()[field];
    return (
      definition !== undefined &&
      seesType(type) &&
      requirements.ofField(type.name, field).every(isMet) &&
      seesType(getNamedType(definition.type))
    );
  };

  return {
    seesType,
    seesField,
    divide: (type, field) => {
      const seen: GraphQLObjectType[] = [];
      const refused: GraphQLObjectType[] = [];
      for (const one of objectTypesOf(schema, type)) (seesField(one, field) ? seen : refused).push(one);
      return refused.length === 0 ? undefined : { seen, refused };
    },
  };
};

const objectTypesOf = (
  schema: GraphQLSchema,
  type: GraphQLNamedType | null | undefined,
): readonly GraphQLObjectType[] => {
  if (isObjectType(type)) return [type];
  return isAbstractType(type) ? schema.getPossibleTypes(type) : [];
};

/** The error of each field that the viewer may not see. */
export const refusalFor = ({ viewer }: Rights): ResponseError =>
  viewer === null
    ? {
        message: 'This needs a viewer. Sign in and ask again.',
        extensions: { code: gatewayCode.unauthenticated },
      }
    : {
        message: 'The viewer has not the rights that this needs.',
        extensions: { code: gatewayCode.forbidden },
      };
