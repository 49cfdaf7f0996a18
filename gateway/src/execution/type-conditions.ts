import { Kind, visit, type DocumentNode } from 'graphql';

/** The object types that each type name stands for, in a supergraph with its inaccessible types. */
export interface TypeConditions {
  /** Returns true if an object of this type name is selected by a condition on `condition`. */
  matches(typename: unknown, condition: string): boolean;
  /** Returns true if the name is one of an object type, and not of an interface. */
  isObjectType(typename: unknown): boolean;
  /** Names of fields that a `@requires` asks for with arguments. */
  readonly requiredWithArguments: ReadonlySet<string>;
}

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
  const requiredWithArguments = new Set<string>();
  visit(supergraph, {
    Directive: ({ name, arguments: args = [] }) => {
      if (name.value !== 'join__field') return;
      for (const { name: argument, value } of args) {
        if (argument.value !== 'requires' || value.kind !== Kind.STRING) continue;
        for (const [, field = ''] of value.value.matchAll(/(\w+)\s*\(/g)) requiredWithArguments.add(field);
      }
    },
  });
  return {
    requiredWithArguments,
    matches: (typename, condition) =>
      typename === condition || members.get(condition)?.has(typename as string) === true,
    isObjectType: (typename) => objectTypes.has(typename as string),
  };
};
