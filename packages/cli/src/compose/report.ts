import type { CompositionSuccess } from '@apollo/composition';
import { Kind, visit, type ASTNode, type DocumentNode, type GraphQLError } from 'graphql';
import { fixes, furtherHelp } from './advice.js';

/** A parsed subgraph; `file` is how its schema is named to people. */
export interface ParsedSubgraph {
  readonly name: string;
  readonly file: string;
  readonly document: DocumentNode;
}

/** What composition says, as a person needs it: which code, which field, where it is written, what to do. */
export interface Finding {
  readonly code: string;
  /** `Type.field`, `Type`, `Type.field(argument:)`; undefined where the finding is about a whole schema. */
  readonly element: string | undefined;
  readonly subgraphs: readonly string[];
  readonly message: string;
  readonly places: readonly string[];
}

/**
 * Turns an error of composition into a finding. Its places come from the nodes that composition names; where it names
 * none (an unsatisfiable query), from the fields that its message quotes.
 */
export const findingOfError = (error: GraphQLError, subgraphs: readonly ParsedSubgraph[]): Finding => {
  const code = error.extensions['code'];
  const fromNodes = (error.nodes ?? []).flatMap((node) => placesOfNode(node, subgraphs));
  const placed = fromNodes.length > 0 ? fromNodes : placesOfMessage(error.message, subgraphs);
  const prefixed = /^\[([^\]]+)\] /.exec(error.message);
  const named = [...error.message.matchAll(/subgraphs? "([^"]+)"(?: and "([^"]+)")?/g)].flatMap((match) =>
    match.slice(1),
  );
  const known = new Set(subgraphs.map(({ name }) => name));
  return {
    code: typeof code === 'string' ? code : 'INVALID_GRAPHQL',
    element: placed[0]?.element,
    subgraphs: unique([prefixed?.[1], ...placed.map(({ subgraph }) => subgraph), ...named]).filter((name) =>
      known.has(name),
    ),
    message: error.message.replace(/^\[[^\]]+\] /, ''),
    places: unique(placed.map(({ place }) => place)),
  };
};

/** Turns a hint of composition into a finding; its element is the name to allow it by. */
export const findingOfHint = (
  hint: CompositionSuccess['hints'][number],
  subgraphs: readonly ParsedSubgraph[],
): Finding => {
  const placed = (hint.nodes ?? []).flatMap((node) => placesOfNode(node, subgraphs));
  return {
    code: hint.definition.code,
    element: hint.coordinate ?? placed[0]?.element,
    subgraphs: unique(placed.map(({ subgraph }) => subgraph)),
    message: hint.message,
    places: unique(placed.map(({ place }) => place)),
  };
};

/** A finding as some lines of text, what to do about it last. */
export const printFinding = ({ code, element, subgraphs, message, places }: Finding): string => {
  const indented = message.trim().split('\n').join('\n    ');
  return [
    `  ${[element, code].filter((part) => part !== undefined).join('  ')}`,
    ...(subgraphs.length > 0
      ? [`    subgraph${subgraphs.length > 1 ? 's' : ''} ${subgraphs.join(', ')}`]
      : []),
    `    ${indented}`,
    ...places.map((place) => `    at ${place}`),
    `    fix: ${fixes[code] ?? furtherHelp(code)}`,
  ].join('\n');
};

interface Place {
  readonly subgraph: string;
  readonly element: string | undefined;
  readonly place: string;
}

const placesOfNode = (node: ASTNode, subgraphs: readonly ParsedSubgraph[]): Place[] => {
  const source = node.loc?.source;
  const subgraph = subgraphs.find(({ document }) => document.loc?.source === source);
  if (!node.loc || !subgraph) return [];
  const { line, column } = node.loc.startToken;
  return [
    {
      subgraph: subgraph.name,
      element: elementAt(subgraph.document, node.loc.start),
      place: `${subgraph.file}:${line}:${column}`,
    },
  ];
};

/** Where the fields are defined that a message quotes as "Type.field". */
const placesOfMessage = (message: string, subgraphs: readonly ParsedSubgraph[]): Place[] => {
  const quoted = new Set([...message.matchAll(/"(\w+\.\w+)"/g)].map((match) => match[1]));
  const places: Place[] = [];
  for (const subgraph of subgraphs) {
    visitFields(subgraph.document, (element, node) => {
      if (quoted.has(element)) places.push(...placesOfNode(node, [subgraph]));
    });
  }
  return places;
};

/** The innermost type or field that surrounds a position of the schema. */
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
