import type { CompositionSuccess } from '@apollo/composition';
import { Kind, visit, type ASTNode, type DocumentNode, type GraphQLError } from 'graphql';
import { fixes, furtherHelp } from './advice.js';

/** A parsed subgraph; `file` names its schema in messages. */
export interface ParsedSubgraph {
  readonly name: string;
  readonly file: string;
  readonly document: DocumentNode;
}

/** An error or a warning of composition with everything that a person needs to correct it. */
export interface Finding {
  readonly code: string;
  /** `Type.field`, `Type` or `Type.field(argument:)`; undefined if the finding is about a whole schema. */
  readonly element: string | undefined;
  readonly subgraphs: readonly string[];
  readonly message: string;
  readonly locations: readonly string[];
}

/**
 * Turns an error of composition into a finding. Its locations are those of the nodes that composition names.
 * If it names none (an unsatisfiable query), they are those of the fields that the message quotes.
 */
export const findingOfError = (error: GraphQLError, subgraphs: readonly ParsedSubgraph[]): Finding => {
  const code = error.extensions['code'];
  const fromNodes = (error.nodes ?? []).flatMap((node) => locationsOfNode(node, subgraphs));
  const located = fromNodes.length > 0 ? fromNodes : locationsOfMessage(error.message, subgraphs);
  const prefixed = /^\[([^\]]+)\] /.exec(error.message);
  const named = [...error.message.matchAll(/subgraphs? "([^"]+)"(?: and "([^"]+)")?/g)].flatMap((match) =>
    match.slice(1),
  );
  const known = new Set(subgraphs.map(({ name }) => name));
  return {
    code: typeof code === 'string' ? code : 'INVALID_GRAPHQL',
    element: located[0]?.element,
    subgraphs: unique([prefixed?.[1], ...located.map(({ subgraph }) => subgraph), ...named]).filter((name) =>
      known.has(name),
    ),
    message: error.message.replace(/^\[[^\]]+\] /, ''),
    locations: unique(located.map(({ location }) => location)),
  };
};

/** Turns a hint of composition into a finding; its element is the name by which it can be allowed. */
export const findingOfHint = (
  hint: CompositionSuccess['hints'][number],
  subgraphs: readonly ParsedSubgraph[],
): Finding => {
  const located = (hint.nodes ?? []).flatMap((node) => locationsOfNode(node, subgraphs));
  return {
    code: hint.definition.code,
    element: hint.coordinate ?? located[0]?.element,
    subgraphs: unique(located.map(({ subgraph }) => subgraph)),
    message: hint.message,
    locations: unique(located.map(({ location }) => location)),
  };
};

/** Returns a finding as lines of text; the last one says how to correct it. */
export const printFinding = ({ code, element, subgraphs, message, locations }: Finding): string => {
  const indented = message.trim().split('\n').join('\n    ');
  return [
    `  ${[element, code].filter((part) => part !== undefined).join('  ')}`,
    ...(subgraphs.length > 0
      ? [`    subgraph${subgraphs.length > 1 ? 's' : ''} ${subgraphs.join(', ')}`]
      : []),
    `    ${indented}`,
    ...locations.map((location) => `    at ${location}`),
    `    fix: ${fixes[code] ?? furtherHelp(code)}`,
  ].join('\n');
};

interface Located {
  readonly subgraph: string;
  readonly element: string | undefined;
  readonly location: string;
}

const locationsOfNode = (node: ASTNode, subgraphs: readonly ParsedSubgraph[]): Located[] => {
  const source = node.loc?.source;
  const subgraph = subgraphs.find(({ document }) => document.loc?.source === source);
  if (!node.loc || !subgraph) return [];
  const { line, column } = node.loc.startToken;
  return [
    {
      subgraph: subgraph.name,
      element: elementAt(subgraph.document, node.loc.start),
      location: `${subgraph.file}:${line}:${column}`,
    },
  ];
};

/** Returns the locations of the fields that a message quotes as "Type.field". */
const locationsOfMessage = (message: string, subgraphs: readonly ParsedSubgraph[]): Located[] => {
  const quoted = new Set([...message.matchAll(/"(\w+\.\w+)"/g)].map((match) => match[1]));
  const located: Located[] = [];
  for (const subgraph of subgraphs) {
    visitFields(subgraph.document, (element, node) => {
      if (quoted.has(element)) located.push(...locationsOfNode(node, [subgraph]));
    });
  }
  return located;
};

/** Returns the innermost type or field that contains this position of the schema. */
const elementAt = (document: DocumentNode, position: number): string | undefined => {
  let found: string | undefined;
  for (const definition of document.definitions) {
    if ('name' in definition && covers(definition, position)) found = definition.name.value;
  }
  visitFields(document, (element, node) => {
    if (covers(node, position)) found = element;
  });
  return found;
};

const visitFields = (document: DocumentNode, found: (element: string, node: ASTNode) => void) => {
  let type = '';
  visit(document, {
    enter: (node) => {
      if ('fields' in node && 'name' in node) type = node.name.value;
      if (node.kind !== Kind.FIELD_DEFINITION && node.kind !== Kind.INPUT_VALUE_DEFINITION) return undefined;
      found(`${type}.${node.name.value}`, node);
      return false;
    },
  });
};

const covers = ({ loc }: ASTNode, position: number) =>
  loc !== undefined && loc.start <= position && position < loc.end;

const unique = (values: readonly (string | undefined)[]): string[] => [
  ...new Set(values.filter((value) => value !== undefined)),
];
