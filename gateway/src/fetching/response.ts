import { GraphQLError, type GraphQLFormattedError } from 'graphql';

/** A usable response of a subgraph. */
export interface SubgraphResponse {
  readonly data?: Record<string, unknown>;
  /** Errors whose path leads to a field or entity of `data`. */
  readonly errors?: readonly GraphQLFormattedError[];
}

/** A response as it was read: its usable part, and the errors that have no usable path. */
export interface ReadResponse {
  readonly response: SubgraphResponse;
  readonly errorsWithoutPath: readonly GraphQLError[];
}

/**
 * Reads the text of a subgraph's HTTP response. Returns the reason, for the log, if it is no GraphQL response
 * or does not hold one entity for each of `representations`. Errors without a path name `subgraph` in their
 * extensions.
 */
export const readResponse = (
  text: string,
  status: number,
  representations: unknown,
  subgraph: string,
): ReadResponse | string => {
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
  const hasUsablePath = ({ path }: GraphQLFormattedError): boolean =>
    ofEntities
      ? path?.[0] === '_entities' && typeof path[1] === 'number'
      : path !== undefined && path.length > 0;
  const withPath = problems.filter(hasUsablePath);
  const usableData = ofEntities && isObject(data) && !Array.isArray(data['_entities']) ? undefined : data;
  return {
    response: {
      ...(isObject(usableData) && { data: usableData }),
      ...(withPath.length > 0 && { errors: withPath }),
    },
    errorsWithoutPath: problems
      .filter((problem) => !hasUsablePath(problem))
      .map(
        ({ message, extensions }) =>
          new GraphQLError(message, { extensions: { ...extensions, serviceName: subgraph } }),
      ),
  };
};

/** Returns true if a response has data, and no fetched entity and no fetched field in it is null. */
export const isWhole = ({ data }: SubgraphResponse): boolean => {
  const entities = data?.['_entities'];
  const objects: readonly unknown[] = Array.isArray(entities) ? entities : [data];
  return objects.every(
    (object) => isObject(object) && Object.values(object).every((value) => value !== null),
  );
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
    // No other extension passes: `http` would set the status of the client's response, and others may be
    // internal.
    extensions: { code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR', details },
  };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
