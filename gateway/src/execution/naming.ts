import {
  print,
  type DirectiveNode,
  type FieldNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLSchema,
  type ValueNode,
} from 'graphql';

/** The response names under which subgraphs return the fields of an operation. */
export interface InternalNames {
  /** `parent` is the type that the field belongs to. `isMutation` is true for a root field of a mutation. */
  of(parent: GraphQLCompositeType, field: FieldNode, isMutation?: boolean): string;
}

/** Returns a field of a type; undefined for `__typename`, `__schema` and `__type`, which no type declares. */
export const fieldOf = (
  type: GraphQLCompositeType,
  name: string,
): GraphQLField<unknown, unknown> | undefined => ('getFields' in type ? type.getFields()[name] : undefined);

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
    const fields: readonly (GraphQLField<unknown, unknown> | GraphQLInputField)[] = Object.values(
      type.getFields(),
    );
    for (const field of fields) {
      all.add(field.name);
      if ('args' in field && field.args.length > 0) withArguments.add(field.name);
    }
  }
  const names = { all, withArguments };
  namesOfSchemas.set(schema, names);
  return names;
};

/**
 * Gives out response names and placeholders, in the order in which they are first asked for. `reservedNames`
 * are never given to a field with arguments.
 */
export const createNaming = (schema: GraphQLSchema, reservedNames: ReadonlySet<string>) => {
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
    const isPlain = !withArguments.has(name) && !objectNames.has(name) && !field.selectionSet;
    if (!isMutation && kept.length === 0 && isPlain) return name;
    const definition = fieldOf(parent, name);
    const texts = (field.arguments ?? [])
      .map((argument) => {
        const type = definition?.args.find((one) => one.name === argument.name.value)?.type;
        return `${argument.name.value}:${String(type)}:${print(argument.value)}`;
      })
      .sort();
    // A mutation runs once for each response name. An object is fetched once for each: a null that one of its
    // fields causes must not remove the fields of another selection.
    const responseName = isMutation || field.selectionSet ? (field.alias?.value ?? name) : '';
    const key = [name, ...texts, ...kept.map(print), responseName].join('\n');
    const known = byKey.get(key);
    if (known !== undefined) return known;
    const isReserved = withArguments.has(name) && reservedNames.has(name);
    const isFree = kept.length === 0 && !taken.has(name) && !objectNames.has(name) && !isReserved;
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
    const alias = internal === name ? '' : `${internal}:`;
    written.set(
      internal,
      `${alias}${name}${args.length > 0 ? `(${args.join(',')})` : ''}${directives.join('')}`,
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
