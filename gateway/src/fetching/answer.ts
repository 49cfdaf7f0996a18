import type { GraphQLDataSource } from '@apollo/gateway';
import { GraphQLError, Kind, parse, type GraphQLFormattedError, type SelectionSetNode } from 'graphql';

type DataSourceResponse = Awaited<ReturnType<GraphQLDataSource['process']>>;

/** A subgraph's answer: what the executor can place in the client's answer by itself, and the errors it cannot. */
export interface Answer {
  readonly response: DataSourceResponse;
  /** Errors without a usable place, as errors of the named subgraph. */
  unplaced(subgraph: string): readonly GraphQLError[];
}

/**
 * Reads the text of a subgraph's HTTP answer. Answers why it is not usable (for the log) when it is no GraphQL answer,
 * or does not hold one entity for each of `representations`. Errors keep only what the format allows them.
 */
export const readAnswer = (text: string, status: number, representations: unknown): Answer | string => {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (!isObject(body)) return 'it is not an object';
  const { data, errors } = body;
  const problems = Array.isArray(errors) ? errors.map(readError) : [];
  if (data !== undefined && data !== null && !isObject(data)) return '"data" is not an object';
  if (!isObject(data) && problems.length === 0) return 'it has neither data nor errors';
  if (status >= 300 && problems.length === 0) return 'its status is no success';
  const ofEntities = Array.isArray(representations);
  if (ofEntities && isObject(data)) {
    const entities = data['_entities'];
    const failedAsAWhole = (entities === null || entities === undefined) && problems.length > 0;
    if (!failedAsAWhole && !(Array.isArray(entities) && entities.length === representations.length)) {
      return 'it does not hold one entity for each representation';
    }
  }
  const isPlaced = ({ path }: GraphQLFormattedError): boolean =>
    ofEntities
      ? path?.[0] === '_entities' && typeof path[1] === 'number'
      : path !== undefined && path.length > 0;
  const placed = problems.filter(isPlaced);
  const usableData = ofEntities && isObject(data) && !Array.isArray(data['_entities']) ? undefined : data;
  return {
    response: {
      ...(isObject(usableData) && { data: usableData }),
      ...(placed.length > 0 && { errors: placed }),
    },
    unplaced: (serviceName) =>
      problems
        .filter((problem) => !isPlaced(problem))
        .map(
          ({ message, extensions }) =>
            new GraphQLError(message, { extensions: { ...extensions, serviceName } }),
        ),
  };
};

const readError = (value: unknown): GraphQLFormattedError => {
  const { message, path, extensions } = isObject(value) ? value : {};
  const steps = Array.isArray(path)
    ? path.filter((step) => typeof step === 'string' || typeof step === 'number')
    : [];
  const { code, details } = isObject(extensions) ? extensions : {};
  return {
    message: typeof message === 'string' && message !== '' ? message : 'Internal error',
    ...(steps.length > 0 && { path: steps }),
    // No other extension: `http` would set the status of our own answer, the rest is nobody's business.
    extensions: { code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR', details },
  };
};

/** The response names of the fields that a fetch brings: of its entities, or of the root. */
export const missingFields = (query: string): string[] => {
  const document = parse(query, { noLocation: true });
  const names = new Set<string>();
  const collect = (selections: SelectionSetNode): void => {
    for (const selection of selections.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet);
      else if (selection.kind === Kind.FRAGMENT_SPREAD) {
        for (const definition of document.definitions) {
          if (definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
          if (definition.name.value === selection.name.value) collect(definition.selectionSet);
        }
      } else if (selection.name.value === '_entities' && selection.selectionSet)
        collect(selection.selectionSet);
      else if (selection.name.value !== '__typename')
        names.add(selection.alias?.value ?? selection.name.value);
    }
  };
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) collect(definition.selectionSet);
  }
  return [...names];
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
