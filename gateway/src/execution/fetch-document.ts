import {
  Kind,
  print,
  stripIgnoredCharacters,
  visit,
  type DocumentNode,
  type OperationDefinitionNode,
  type ValueNode,
} from 'graphql';
import type { FetchStep } from './compile.js';

/** A string of a document, which may look like a variable, or a variable. */
const stringOrVariable = /"""(?:\\"""|[^])*?"""|"(?:[^"\\]|\\.)*"|\$(\w+)/g;

/** A character that would run into a value after it. */
const needsSpace = /[\w"]/;

/**
 * Replaces the placeholders in the document of a fetch by the client's values: literals as they were written,
 * and the client's variables with their definitions. `document` is what was parsed from `text`, with
 * locations. Hot for what a client sends first: a plan may have documents of many thousand characters, which
 * take ten times as long to print again.
 */
export const withClientValues = (
  text: string,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  placeholders: ReadonlyMap<string, ValueNode>,
): { readonly text: string; readonly variables: FetchStep['variables'] } => {
  const definition = document.definitions.find(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const { loc, selectionSet, variableDefinitions = [] } = definition as OperationDefinitionNode;
  if (!loc || !selectionSet.loc) throw new Error('a document of a fetch was parsed without locations');
  if (placeholders.size === 0) return { text, variables: [] };
  const used = new Set<string>();
  const written = new Map<string, string>();
  const write = (placeholder: string, value: ValueNode): string => {
    const known = written.get(placeholder);
    if (known !== undefined) return known;
    const renamed: ValueNode = visit(value, {
      Variable: (node) => {
        used.add(node.name.value);
        return { ...node, name: { ...node.name, value: nameInFetch(node.name.value) } };
      },
    });
    const valueText = stripIgnoredCharacters(print(renamed));
    written.set(placeholder, valueText);
    return valueText;
  };
  const body = text.slice(selectionSet.loc.start).replace(stringOrVariable, (found, ...match) => {
    const [name, offset, whole] = match as [string | undefined, number, string];
    const value = name === undefined ? undefined : placeholders.get(name);
    if (name === undefined || !value) return found;
    return needsSpace.test(whole[offset - 1] ?? '') ? ` ${write(name, value)}` : write(name, value);
  });
  const definitions = [
    ...variableDefinitions
      .filter(({ variable }) => !placeholders.has(variable.name.value))
      .map((one) => stripIgnoredCharacters(print(one))),
    ...(operation.variableDefinitions ?? [])
      .filter(({ variable }) => used.has(variable.name.value))
      .map(({ variable, type, defaultValue }) => {
        const value = defaultValue ? `=${stripIgnoredCharacters(print(defaultValue))}` : '';
        return `$${nameInFetch(variable.name.value)}:${print(type)}${value}`;
      }),
  ];
  const { operation: kind } = definition as OperationDefinitionNode;
  const head = definitions.length > 0 ? `${kind}(${definitions.join()})` : kind === 'query' ? '' : kind;
  return {
    text: text.slice(0, loc.start) + head + body,
    variables: [...used].map((name) => ({ name, prefix: `${JSON.stringify(nameInFetch(name))}:` })),
  };
};

/** The name of a client's variable in a fetch, which has variables of its own. */
const nameInFetch = (name: string): string =>
  name.startsWith('representations') || name.startsWith('contextualArgument') ? `client_${name}` : name;

/** Returns a document, whose first definition is its operation, with a name of the operation. */
export const withName = (text: string, name: string | undefined): string =>
  name === undefined ? text : text.replace(/^\w*/, (kind) => `${kind || 'query'} ${name}`);
