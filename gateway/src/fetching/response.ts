import { parseJson } from '../execution/numbers.js';
/**
 * One error of a subgraph's response, read defensively. `path` leads to a field of `data`, or with
 * representations to one of `_entities`; it is undefined if the error has no such path.
 */
export interface SubgraphError {
  readonly message: string;
  readonly path: readonly (string | number)[] | undefined;
  readonly extensions: { readonly code: string; readonly details?: unknown };
}

/** The usable part of a response; with representations, `data` holds one entity for each of them. */
export interface SubgraphResponse {
  readonly data: Record<string, unknown> | undefined;
  readonly errors: readonly SubgraphError[];
}

/**
 * Reads the text of a subgraph's HTTP response. `representations` is how many a fetch of entities has, and
 * undefined for a fetch of root fields. Returns the reason, for the log, if the text is no GraphQL response
 * or does not hold one entity for each representation.
 */
export const readResponse = (
  text: string,
  status: number,
  representations: number | undefined,
): SubgraphResponse | string => {
  let body: unknown;
  try {
    body = parseJson(text);
  } catch {
    return 'it is not JSON';
  }
  if (!isObject(body)) return 'it is not an object';
  const { data } = body;
  const ofEntities = representations !== undefined;
  const errors = readErrors(body['errors'], ofEntities);
  if (data !== undefined && data !== null && !isObject(data)) return '"data" is not an object';
  if (!isObject(data) && errors.length === 0) return 'it has neither data nor errors';
  if (status >= 300 && errors.length === 0) return 'its status is no success';
  if (!isObject(data)) return { data: undefined, errors };
  if (!ofEntities) return { data, errors };
  const entities = data['_entities'];
  if (Array.isArray(entities) && entities.length === representations) return { data, errors };
  const failedAsAWhole = (entities === null || entities === undefined) && errors.length > 0;
  return failedAsAWhole ? { data: undefined, errors } : 'it does not hold one entity for each representation';
};

const noErrors: readonly SubgraphError[] = [];

const readErrors = (errors: unknown, ofEntities: boolean): readonly SubgraphError[] =>
  Array.isArray(errors) ? errors.map((error) => readError(error, ofEntities)) : noErrors;

const readError = (value: unknown, ofEntities: boolean): SubgraphError => {
  const { message, path, extensions } = isObject(value) ? value : {};
  const { code, details } = isObject(extensions) ? extensions : {};
  return {
    message: typeof message === 'string' && message !== '' ? message : 'Internal error',
    path: readPath(path, ofEntities),
    // No other extension passes: `http` would set the status of the client's response, and others may be
    // internal.
    extensions: { code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR', details },
  };
};

const readPath = (path: unknown, ofEntities: boolean): readonly (string | number)[] | undefined => {
  if (!Array.isArray(path)) return undefined;
  const steps = path.filter((step) => typeof step === 'string' || typeof step === 'number');
  const usable = ofEntities ? steps[0] === '_entities' && typeof steps[1] === 'number' : steps.length > 0;
  return usable ? steps : undefined;
};

/** Returns true for a JSON object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
