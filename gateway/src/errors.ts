import { HeaderMap } from '@apollo/server';
import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { shortMessage, withoutSuggestion } from '@cinegraph/service/refusal';
import type { Logger } from '@cinegraph/service/logger';
import { GraphQLError, type ASTNode, type GraphQLFormattedError } from 'graphql';

/** The codes with which the gateway itself refuses. */
export const gatewayCode = {
  subgraphUnavailable: 'SUBGRAPH_UNAVAILABLE',
  deadlineExceeded: 'DEADLINE_EXCEEDED',
  operationTooComplex: 'OPERATION_TOO_COMPLEX',
  operationNotTrusted: 'OPERATION_NOT_TRUSTED',
  subgraphValueInvalid: 'SUBGRAPH_VALUE_INVALID',
  overloaded: 'OVERLOADED',
  deferNotAccepted: 'DEFER_NOT_ACCEPTED',
  unauthenticated: 'UNAUTHENTICATED',
  authenticationUnavailable: 'AUTHENTICATION_UNAVAILABLE',
  rateLimited: 'RATE_LIMITED',
  forbidden: 'FORBIDDEN',
} as const;

const internalCode = ApolloServerErrorCode.INTERNAL_SERVER_ERROR;

/** Codes that pass the mask on errors of the gateway: faults of the request, and the gateway's refusals. */
const passedCodes: ReadonlySet<string> = new Set([
  ...Object.values(ApolloServerErrorCode).filter((code) => code !== internalCode),
  ...Object.values(gatewayCode),
]);

/** Codes with which every subgraph may refuse. Parsing and validation are judged by the gateway alone. */
const subgraphCodes: readonly string[] = ['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND'];

/**
 * Codes that mean a fault of a subgraph and no refusal. Their messages may hold anything, so they are masked
 * even if the enum `ErrorCode` lists them.
 */
const faultCode =
  /INTERNAL|UNEXPECTED|UNHANDLED|EXCEPTION|^GRAPHQL_|^PERSISTED_QUERY_|^UNKNOWN$|^(?:(?:UNKNOWN|SERVER|DATABASE|DOWNSTREAM_SERVICE)_)?ERROR$/i;

/** Codes after which a client may try again. They pass if `ErrorCode` lists them; their messages do not. */
const unavailableCodes: ReadonlySet<string> = new Set([
  gatewayCode.subgraphUnavailable,
  gatewayCode.deadlineExceeded,
  'STORE_UNAVAILABLE',
  'SERVICE_UNAVAILABLE',
  'UNAVAILABLE',
  'TIMEOUT',
]);

/** Returns true for a code with which a subgraph says that it has failed, and not that it refuses. */
export const meansFailure = (code: string): boolean => faultCode.test(code) || unavailableCodes.has(code);

/**
 * Returns Apollo Server's `formatError`. An error passes with message, path, locations, code and flat details
 * if its code is known: for a subgraph's error, which carries `serviceName`, a common code or one of
 * `schemaCodes()`, the values of the supergraph's enum `ErrorCode`, unless it means a fault. Any other error
 * is logged whole and becomes "Internal error". With `hidesSchema` the messages suggest no names.
 */
export const maskErrors = (options: {
  schemaCodes: () => ReadonlySet<string>;
  hidesSchema: boolean;
  logger: Logger;
}) => {
  const { schemaCodes, hidesSchema, logger } = options;
  // One failed fetch can cause errors at many paths of a response; its cause is logged once.
  const logged = new WeakSet<object>();
  return (formatted: GraphQLFormattedError, thrown: unknown): GraphQLFormattedError => {
    const { details, serviceName, validationErrorCode } = formatted.extensions ?? {};
    const code = isRequestFault(thrown) ? ApolloServerErrorCode.BAD_REQUEST : formatted.extensions?.['code'];
    const position = {
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
    };
    const ofSubgraph = serviceName !== undefined;
    const passes =
      typeof code === 'string' &&
      (ofSubgraph
        ? subgraphCodes.includes(code) || (schemaCodes().has(code) && !faultCode.test(code))
        : passedCodes.has(code));
    const isUnavailable = passes && ofSubgraph && unavailableCodes.has(code);
    if (!passes || isUnavailable) {
      const cause = unwrapResolverError(thrown);
      const seen = typeof cause === 'object' && cause !== null && logged.has(cause);
      if (typeof cause === 'object' && cause !== null) logged.add(cause);
      if (!seen) logger.error({ err: cause, path: formatted.path, subgraph: serviceName }, 'masked error');
      return isUnavailable
        ? { message: unavailableMessage, ...position, extensions: { code } }
        : { message: 'Internal error', ...position, extensions: { code: internalCode } };
    }
    // A subgraph's refusal may suggest something else than a name of the schema.
    const namesSchema = !ofSubgraph || code === ApolloServerErrorCode.BAD_USER_INPUT;
    const shownMessage =
      hidesSchema && namesSchema ? withoutSuggestion(formatted.message) : formatted.message;
    const message =
      validationErrorCode === 'INTROSPECTION_DISABLED'
        ? 'Introspection is not allowed here.'
        : shortMessage(shownMessage);
    const shown = ofSubgraph ? flatDetails(details) : undefined;
    return { message, ...position, extensions: shown === undefined ? { code } : { code, details: shown } };
  };
};

/**
 * Apollo Server refuses some requests without a code, e.g. a wrong hash of a persisted query, but with a 4xx
 * status.
 */
const isRequestFault = (thrown: unknown): boolean => {
  if (!(thrown instanceof GraphQLError) || thrown.extensions['code'] !== undefined) return false;
  const { status } = (thrown.extensions['http'] ?? {}) as { status?: unknown };
  return typeof status === 'number' && status >= 400 && status < 500;
};

/** Returns those details of a refusal that are plain values; undefined if there are none. */
const flatDetails = (details: unknown): Record<string, unknown> | undefined => {
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return undefined;
  const plain = Object.entries(details).filter(([, value]) => value === null || typeof value !== 'object');
  return plain.length === 0 ? undefined : Object.fromEntries(plain);
};

/**
 * Creates the refusal of a whole operation, before any subgraph is asked: HTTP 400. `nodes` are the parts of
 * the document that it is about.
 */
export const refusedOperation = (code: string, message: string, nodes?: readonly ASTNode[]): GraphQLError =>
  new GraphQLError(message, { nodes: nodes ?? null, extensions: { code, http: { status: 400 } } });

/** Creates the refusal of an operation that is not in the manifest of trusted operations: HTTP 403. */
export const operationNotTrusted = (): GraphQLError =>
  new GraphQLError(
    'This operation is not registered here. Register it, or send one that is registered, by its id or its text.',
    { extensions: { code: gatewayCode.operationNotTrusted, http: { status: 403 } } },
  );

/** Creates the refusal of an operation because too many others wait for their plans: HTTP 503. */
export const planningOverloaded = (): GraphQLError =>
  new GraphQLError('Too many new operations arrived at once. Try again in a few seconds.', {
    extensions: { code: gatewayCode.overloaded, http: { status: 503 } },
  });

/** Creates the refusal of a request that waited for its whole deadline before it could begin: HTTP 503. */
export const overloaded = (): GraphQLError =>
  new GraphQLError('The gateway is busy. Try again in a few seconds.', {
    extensions: { code: gatewayCode.overloaded, http: { status: 503 } },
  });

/** Creates the refusal of `@defer` for a client that does not accept a response in parts: HTTP 406. */
export const partsNotAccepted = (): GraphQLError =>
  new GraphQLError(
    'The operation uses @defer, but the request does not accept a response in parts. Send "Accept: multipart/mixed;incrementalSpec=v0.2" or "multipart/mixed;deferSpec=20220824" beside "application/json", or leave @defer out.',
    { extensions: { code: gatewayCode.deferNotAccepted, http: { status: 406 } } },
  );

/** Creates the refusal of a request whose header `Authorization` is no valid access token: HTTP 401. */
export const unauthenticated = (): GraphQLError =>
  new GraphQLError(
    'The header Authorization must be "Bearer" and an access token that is valid and has not expired. Sign in again.',
    {
      extensions: {
        code: gatewayCode.unauthenticated,
        http: { status: 401, headers: new HeaderMap([['www-authenticate', 'Bearer error="invalid_token"']]) },
      },
    },
  );

/** Creates the refusal of a request whose access token cannot be judged at the moment: HTTP 503. */
export const authenticationUnavailable = (): GraphQLError =>
  new GraphQLError('The access token cannot be verified at the moment. Try again in a few seconds.', {
    extensions: {
      code: gatewayCode.authenticationUnavailable,
      http: { status: 503, headers: new HeaderMap([['retry-after', '2']]) },
    },
  });

/**
 * Creates the refusal of an operation whose client has too little of its budget left: HTTP 429. `of` is the
 * field with a budget of its own that was exceeded, how often the operation selects it, and how often a
 * client may each minute.
 */
export const rateLimited = (
  afterSeconds: number,
  of?: { readonly field: string; readonly count: number; readonly limit: number },
): GraphQLError => {
  const reason = of
    ? `The field ${of.field} may be selected ${of.limit} times a minute, and this operation selects it ${of.count} times.`
    : 'The operations of this client cost more than its budget.';
  const advice =
    of && of.count > of.limit
      ? 'Select it less often in one operation.'
      : `Try again in ${afterSeconds === 1 ? 'a second' : `${afterSeconds} seconds`}.`;
  return new GraphQLError(`${reason} ${advice}`, {
    extensions: { code: gatewayCode.rateLimited, http: { status: 429 } },
  });
};

const unavailableMessage = 'This part of the graph cannot be reached at the moment. Try again later.';

/**
 * Creates the error of fields whose subgraph has no usable response; it names neither subgraph nor address.
 */
export const subgraphUnavailable = (): GraphQLError =>
  new GraphQLError(unavailableMessage, { extensions: { code: gatewayCode.subgraphUnavailable } });

/** Creates the error of fields whose subgraph did not respond before the request's deadline. */
export const deadlineExceeded = (): GraphQLError =>
  new GraphQLError('This part of the graph did not answer in time. Ask for less, or try again later.', {
    extensions: { code: gatewayCode.deadlineExceeded },
  });
