import { Kind, visit, type DocumentNode } from 'graphql';

/** The object types that each type name stands for, in a supergraph with its inaccessible types. */
export interface TypeConditions {
  /** Returns true if an object of this type name is selected by a condition on `condition`. */
  matches(typename: unknown, condition: string): boolean;
  /** Returns true if the name is one of an object type, and not of an interface. */
  isObjectType(typename: unknown): boolean;
  /** Names of fields that the planner may fetch for itself: those of keys, `@requires` and `@provides`. */
  readonly requiredNames: ReadonlySet<string>;
}

/** The arguments of `@join__field` and `@join__type` that hold field sets. */
const fieldSetArguments: ReadonlySet<string> = new Set(['key', 'requires', 'provides']);

/** Reads the types of a supergraph. */
export const readTypeConditions = (supergraph: DocumentNode): TypeConditions => {
  const objectTypes = new Set<string>();
  const members = new Map<string, Set<string>>();
  const add = (abstract: string, member: string): void => {
    const known = members.get(abstract);
    if (known) known.add(member);
    else members.set(abstract, new Set([member]));
  };
  for (const definition of supergraph.definitions) {
    if (definition.kind === Kind.OBJECT_TYPE_DEFINITION) objectTypes.add(definition.name.value);
    if (
      definition.kind === Kind.OBJECT_TYPE_DEFINITION ||
      definition.kind === Kind.INTERFACE_TYPE_DEFINITION
    ) {
      for (const { name } of definition.interfaces ?? []) add(name.value, definition.name.value);
    }
    if (definition.kind === Kind.UNION_TYPE_DEFINITION) {
      for (const { name } of definition.types ?? []) add(definition.name.value, name.value);
    }
  }
  const requiredNames = new Set<string>();
  visit(supergraph, {
    Directive: ({ name: directive, arguments: args = [] }) => {
      if (directive.value !== 'join__field' && directive.value !== 'join__type') return;
      for (const { name, value } of args) {
        if (!fieldSetArguments.has(name.value) || value.kind !== Kind.STRING) continue;
        for (const [word] of value.value.matchAll(/\w+/g)) requiredNames.add(word);
      }
    },
  });
  return {
    requiredNames,
    matches: (typename, condition) =>
      typename === condition || members.get(condition)?.has(typename as string) === true,
    isObjectType: (typename) => objectTypes.has(typename as string),
  };
};
