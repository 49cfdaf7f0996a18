import {
  Kind,
  parse,
  print,
  visit,
  type ASTNode,
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type FieldNode,
  type SelectionSetNode,
  type TypeNode,
} from 'graphql';

/** A supergraph as the planner gets it. */
export interface PlannerSupergraph {
  readonly sdl: string;
  /** Fields that exist for the planner only, by name: the field with the arguments that they stand for. */
  readonly requiredFields: ReadonlyMap<string, FieldNode>;
  /**
   * For a field with `@requires`, by coordinate such as `Item.tax`: those of `requiredFields` that it
   * requires.
   */
  readonly requiredBy: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Fields by the name of their type and their own name. */
type Definitions = ReadonlyMap<string, ReadonlyMap<string, FieldDefinitionNode>>;

/**
 * Rewrites a supergraph in which `@requires` asks for one field with several sets of arguments. The planner
 * would take them for the same field, and fetch one of them for all. Here each set of arguments is a field
 * without arguments; the compiled plan asks for the field that it stands for. A supergraph without such
 * fields is returned as it is.
 */
export const separateRequiredArguments = (sdl: string, supergraph: DocumentNode): PlannerSupergraph => {
  const definitions = readDefinitions(supergraph);
  /** By coordinate and arguments. */
  const found = new Map<string, Map<string, FieldNode>>();
  visitRequired(supergraph, definitions, (coordinate, field) => {
    const sets = found.get(coordinate) ?? new Map<string, FieldNode>();
    found.set(coordinate, sets.set(argumentsText(field), field));
  });
  const requiredFields = new Map<string, FieldNode>();
  const names = new Map<string, string>();
  for (const [coordinate, sets] of found) {
    if (sets.size < 2) continue;
    for (const [text, field] of sets) {
      const name = `${field.name.value}__required${requiredFields.size}`;
      requiredFields.set(name, field);
      names.set(`${coordinate}(${text})`, name);
    }
  }
  if (names.size === 0) return { sdl, requiredFields, requiredBy: new Map() };

  const requiredBy = new Map<string, Set<string>>();
  const rewritten = visit(supergraph, {
    FieldDefinition: (field, _key, _parent, _path, ancestors) => {
      const coordinate = `${typeNameOf(ancestors)}.${field.name.value}`;
      const directives = field.directives?.map((directive) =>
        rewriteRequires(directive, typeNameOf(ancestors), definitions, names, (name) => {
          requiredBy.set(coordinate, (requiredBy.get(coordinate) ?? new Set()).add(name));
        }),
      );
      return { ...field, ...(directives && { directives }) };
    },
  });
  const withFields = visit(rewritten, {
    ObjectTypeDefinition: (type) => {
      const added = (type.fields ?? []).flatMap((field) =>
        [...names]
          .filter(([key]) => key.startsWith(`${type.name.value}.${field.name.value}(`))
          .map(([, name]) => ({ ...field, name: { ...field.name, value: name }, arguments: [] })),
      );
      return added.length === 0 ? undefined : { ...type, fields: [...(type.fields ?? []), ...added] };
    },
  });
  return { sdl: print(withFields), requiredFields, requiredBy };
};

const argumentsText = ({ arguments: args = [] }: FieldNode): string => args.map(print).sort().join();

const readDefinitions = (supergraph: DocumentNode): Definitions =>
  new Map(
    supergraph.definitions.flatMap((definition) =>
      definition.kind === Kind.OBJECT_TYPE_DEFINITION || definition.kind === Kind.INTERFACE_TYPE_DEFINITION
        ? [
            [
              definition.name.value,
              new Map((definition.fields ?? []).map((field) => [field.name.value, field])),
            ] as const,
          ]
        : [],
    ),
  );

/** Calls back for each field that a `@requires` asks for, with the coordinate of the field. */
const visitRequired = (
  supergraph: DocumentNode,
  definitions: Definitions,
  found: (coordinate: string, field: FieldNode) => void,
): void => {
  visit(supergraph, {
    FieldDefinition: (field, _key, _parent, _path, ancestors) => {
      for (const directive of field.directives ?? []) {
        const text = requiresOf(directive);
        if (text !== undefined)
          mapFields(fieldSet(text), typeNameOf(ancestors), definitions, (type, node) => {
            found(`${type}.${node.name.value}`, node);
            return node;
          });
      }
    },
  });
};

const rewriteRequires = (
  directive: ConstDirectiveNode,
  type: string,
  definitions: Definitions,
  names: ReadonlyMap<string, string>,
  used: (name: string) => void,
): ConstDirectiveNode => {
  const text = requiresOf(directive);
  if (text === undefined) return directive;
  const set = mapFields(fieldSet(text), type, definitions, (parent, node) => {
    const name = names.get(`${parent}.${node.name.value}(${argumentsText(node)})`);
    if (name === undefined) return node;
    used(name);
    return { ...node, name: { ...node.name, value: name }, arguments: [] };
  });
  const value = print(set).replaceAll(/\s+/g, ' ').slice(1, -1).trim();
  return {
    ...directive,
    arguments: (directive.arguments ?? []).map((argument) =>
      argument.name.value === 'requires' ? { ...argument, value: { kind: Kind.STRING, value } } : argument,
    ),
  };
};

const requiresOf = ({ name, arguments: args = [] }: ConstDirectiveNode): string | undefined => {
  if (name.value !== 'join__field') return undefined;
  const value = args.find((argument) => argument.name.value === 'requires')?.value;
  return value?.kind === Kind.STRING ? value.value : undefined;
};

const fieldSet = (text: string): SelectionSetNode => {
  const [definition] = parse(`{${text}}`, { noLocation: true }).definitions;
  if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`"${text}" is no field set`);
  return definition.selectionSet;
};

/** Replaces each field of a selection set on `type`, with those below it. */
const mapFields = (
  set: SelectionSetNode,
  type: string,
  definitions: Definitions,
  replace: (type: string, field: FieldNode) => FieldNode,
): SelectionSetNode => ({
  ...set,
  selections: set.selections.map((selection) => {
    if (selection.kind === Kind.FRAGMENT_SPREAD) return selection;
    if (selection.kind === Kind.INLINE_FRAGMENT) {
      const condition = selection.typeCondition?.name.value ?? type;
      return {
        ...selection,
        selectionSet: mapFields(selection.selectionSet, condition, definitions, replace),
      };
    }
    const field = replace(type, selection);
    const definition = definitions.get(type)?.get(selection.name.value);
    if (!field.selectionSet || !definition) return field;
    const below = mapFields(field.selectionSet, namedType(definition.type), definitions, replace);
    return { ...field, selectionSet: below };
  }),
});

const namedType = (type: TypeNode): string =>
  type.kind === Kind.NAMED_TYPE ? type.name.value : namedType(type.type);

/** Returns the name of the type that a field definition is in. */
const typeNameOf = (ancestors: readonly (ASTNode | readonly ASTNode[])[]): string => {
  const type = ancestors.findLast(
    (ancestor): ancestor is ASTNode => 'kind' in ancestor && ancestor.kind !== Kind.DOCUMENT,
  );
  return type?.kind === Kind.OBJECT_TYPE_DEFINITION || type?.kind === Kind.INTERFACE_TYPE_DEFINITION
    ? type.name.value
    : '';
};
