import {
  BREAK,
  GraphQLError,
  isNonNullType,
  Kind,
  separateOperations,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type ASTNode,
  type VariableNode,
} from 'graphql';
import type { CountedOperation } from './list-cost.js';
import { refusalCode } from './refusal.js';

/**
 * Returns the refusal (HTTP 400) of a request whose variable is null at a position that does not accept null;
 * undefined if there is none. Validation allows a nullable variable there, if the variable or the position
 * has a default, and an executor reports the null as an error without a code. The operation must be valid.
 * The error has the path of the field, unless the
 * field is in a fragment.
 */
export const refusedNull = (counted: CountedOperation): GraphQLError | undefined => {
  const { schema, document, operation, variables } = counted;
  const nulls = new Set<string>();
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    const value = variables[variable.name.value];
    if (value === null || (value === undefined && defaultValue?.kind === Kind.NULL))
      nulls.add(variable.name.value);
  }
  if (nulls.size === 0) return undefined;
  const types = new TypeInfo(schema);
  const found: { error?: GraphQLError } = {};
  const enter = (
    node: VariableNode,
    _key: unknown,
    _parent: unknown,
    _path: unknown,
    ancestors: readonly (ASTNode | readonly ASTNode[])[],
  ) => {
    const name = node.name.value;
    if (!nulls.has(name) || !isNonNullType(types.getInputType())) return undefined;
    const owner = types.getDirective() ?? types.getFieldDef();
    const argument = types.getArgument()?.name ?? '';
    const path = pathOf(ancestors);
    found.error = new GraphQLError(
      `The variable "$${name}" is null, but the argument "${argument}" of ${owner?.name ?? 'the field'} does not accept null there. Leave the variable out to get the default, or send a value.`,
      {
        nodes: [node],
        ...(path && { path }),
        extensions: { code: refusalCode.badUserInput, http: { status: 400 } },
      },
    );
    return BREAK;
  };
  // Fragments of other operations in the document may use the same name for another variable.
  const executed = separateOperations(document)[operation.name?.value ?? ''] ?? document;
  visit(executed, visitWithTypeInfo(types, { VariableDefinition: () => false, Variable: { enter } }));
  return found.error;
};

/** Returns the response names of the fields among the ancestors; undefined inside of a fragment. */
const pathOf = (ancestors: readonly (ASTNode | readonly ASTNode[])[]): string[] | undefined => {
  const nodes = ancestors.filter((one): one is ASTNode => 'kind' in one);
  if (nodes.some(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)) return undefined;
  return nodes.flatMap((node) => (node.kind === Kind.FIELD ? [(node.alias ?? node.name).value] : []));
};
