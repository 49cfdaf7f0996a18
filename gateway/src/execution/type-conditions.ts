import { Kind, parse, visit, type DirectiveNode, type DocumentNode } from 'graphql';

/** The object types that each type name stands for, in a supergraph with its inaccessible types. */
export interface TypeConditions {
  /** Returns true if an object of this type name is selected by a condition on `condition`. */
  matches(typename: unknown, condition: string): boolean;
  /** Returns true if the name is one of an object type, and not of an interface. */
  isObjectType(typename: unknown): boolean;
  /**
   * Returns the keys of a type in a subgraph: for each, the names of its fields without those below them. A
   * type that the subgraph knows as an interface object has the keys of that.
   */
  keysOf(subgraph: string, type: string): readonly (readonly string[])[];
  /** Returns the names in the `@requires` of a field in a subgraph, without those below them. */
  requiredBy(subgraph: string, type: string, field: string): readonly string[];
  /** Returns true if a field is a key of the type in any subgraph, or a part of one. */
  isKey(type: string, field: string): boolean;
  /** The interfaces that are interface objects in a subgraph, and the object types that implement them. */
  readonly interfaceObjects: ReadonlySet<string>;
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
  const subgraphs = readSubgraphs(supergraph);
  const keys = readKeys(supergraph, subgraphs);
  const required = readRequired(supergraph, subgraphs);
  const keyFields = new Set<string>();
  for (const [coordinate, ofType] of keys) {
    const type = coordinate.slice(coordinate.lastIndexOf(' ') + 1);
    for (const name of ofType.flat()) keyFields.add(`${type}.${name}`);
  }
  for (const [coordinate, ofType] of [...keys]) {
    const [, subgraph = '', type = ''] = /^(.*) (\w+)$/.exec(coordinate) ?? [];
    for (const member of members.get(type) ?? []) {
      const ofMember = `${subgraph} ${member}`;
      if (!keys.has(ofMember)) keys.set(ofMember, ofType);
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
    interfaceObjects: interfaceObjectsOf(supergraph, members),
    requiredNames,
    isKey: (type, field) => keyFields.has(`${type}.${field}`),
    requiredBy: (subgraph, type, field) => required.get(`${subgraph} ${type}.${field}`) ?? [],
    keysOf: (subgraph, type) => keys.get(`${subgraph} ${type}`) ?? [],
    matches: (typename, condition) =>
      typename === condition || members.get(condition)?.has(typename as string) === true,
    isObjectType: (typename) => objectTypes.has(typename as string),
  };
};

const interfaceObjectsOf = (
  supergraph: DocumentNode,
  members: ReadonlyMap<string, ReadonlySet<string>>,
): Set<string> => {
  const found = new Set<string>();
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.INTERFACE_TYPE_DEFINITION) continue;
    const { name, directives = [] } = definition;
    const isInterfaceObject = directives.some(({ arguments: args = [] }) =>
      args.some((argument) => argument.name.value === 'isInterfaceObject'),
    );
    if (isInterfaceObject) [name.value, ...(members.get(name.value) ?? [])].forEach((one) => found.add(one));
  }
  return found;
};

/** Reads the names of the subgraphs, by their names in the directives of the supergraph. */
const readSubgraphs = (supergraph: DocumentNode): ReadonlyMap<string, string> => {
  const subgraphs = new Map<string, string>();
  visit(supergraph, {
    EnumValueDefinition: ({ name, directives = [] }) => {
      const graph = directives.find((directive) => directive.name.value === 'join__graph');
      const subgraph = graph && textOf(graph, 'name');
      if (subgraph !== undefined) subgraphs.set(name.value, subgraph);
    },
  });
  return subgraphs;
};

/** Reads the required names of all fields, by the names of the subgraph, the type and the field. */
const readRequired = (
  supergraph: DocumentNode,
  subgraphs: ReadonlyMap<string, string>,
): ReadonlyMap<string, readonly string[]> => {
  const required = new Map<string, readonly string[]>();
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.INTERFACE_TYPE_DEFINITION)
      continue;
    for (const { name, directives = [] } of definition.fields ?? []) {
      for (const directive of directives) {
        const requires = directive.name.value === 'join__field' ? textOf(directive, 'requires') : undefined;
        if (requires === undefined) continue;
        const subgraph = subgraphs.get(textOf(directive, 'graph') ?? '') ?? '';
        required.set(`${subgraph} ${definition.name.value}.${name.value}`, topLevelNames(requires));
      }
    }
  }
  return required;
};

/** Reads the keys of all types, by the names of the subgraph and of the type. */
const readKeys = (
  supergraph: DocumentNode,
  subgraphs: ReadonlyMap<string, string>,
): Map<string, string[][]> => {
  const keys = new Map<string, string[][]>();
  for (const definition of supergraph.definitions) {
    if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION && definition.kind !== Kind.INTERFACE_TYPE_DEFINITION)
      continue;
    for (const directive of definition.directives ?? []) {
      const key = directive.name.value === 'join__type' ? textOf(directive, 'key') : undefined;
      if (key === undefined) continue;
      const coordinate = `${subgraphs.get(textOf(directive, 'graph') ?? '') ?? ''} ${definition.name.value}`;
      const names = topLevelNames(key);
      keys.set(coordinate, [...(keys.get(coordinate) ?? []), names]);
    }
  }
  return keys;
};

const textOf = ({ arguments: args = [] }: DirectiveNode, name: string): string | undefined => {
  const value = args.find((argument) => argument.name.value === name)?.value;
  return value?.kind === Kind.STRING || value?.kind === Kind.ENUM ? value.value : undefined;
};

/** Returns the names of a field set, as id and owner of `id owner { name }`. */
const topLevelNames = (fieldSet: string): string[] => {
  const [definition] = parse(`{${fieldSet}}`, { noLocation: true }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) return [];
  return definition.selectionSet.selections.flatMap((selection) =>
    selection.kind === Kind.FIELD ? [selection.name.value] : [],
  );
};
