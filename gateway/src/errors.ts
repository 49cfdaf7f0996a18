import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { shortMessage } from '@cinegraph/service/refusal';
import type { Logger } from '@cinegraph/service/logger';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';

/** Codes of refusals that the gateway itself makes. */
export const gatewayCode = {
  subgraphUnavailable: 'SUBGRAPH_UNAVAILABLE',
  deadlineExceeded: 'DEADLINE_EXCEEDED',
  operationTooComplex: 'OPERATION_TOO_COMPLEX',
} as const;

const internalCode = ApolloServerErrorCode.INTERNAL_SERVER_ERROR;

/** Codes that pass when the gateway said them: about the request, or its own refusals. */
const ownCodes: ReadonlySet<string> = new Set([
  ...Object.values(ApolloServerErrorCode).filter((code) => code !== internalCode),
  ...Object.values(gatewayCode),
]);

/** Codes that every subgraph may refuse with. What only the gateway can judge (parsing, validity) is not among them. */
const subgraphCodes: readonly string[] = ['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND'];

/**
 * Apollo Server's `formatError`: an error passes with message, place, code and flat details when its code is listed;
 * for a subgraph's error (stock marks it with `serviceName`) that is a common one or one of `schemaCodes()`, the values
 * of the supergraph's own `ErrorCode` enum. All else is logged whole and becomes "Internal error".
 */
export const maskErrors = (options: { schemaCodes: () => ReadonlySet<string>; logger: Logger }) => {
  const { schemaCodes, logger } = options;
  // One failed fetch may be told at many places of an answer; its cause is logged once.
  const logged = new WeakSet<object>();
  return (formatted: GraphQLFormattedError, thrown: unknown): GraphQLFormattedError => {
    const { details, serviceName, validationErrorCode } = formatted.extensions ?? {};
    const code = isRequestFault(thrown) ? ApolloServerErrorCode.BAD_REQUEST : formatted.extensions?.['code'];
    const place = {
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
    };
    const ofSubgraph = serviceName !== undefined;
    const passes =
      typeof code === 'string' &&
      (ofSubgraph ? subgraphCodes.includes(code) || schemaCodes().has(code) : ownCodes.has(code));
    if (!passes) {
      const cause = unwrapResolverError(thrown);
      const seen = typeof cause === 'object' && cause !== null && logged.has(cause);
      if (typeof cause === 'object' && cause !== null) logged.add(cause);
      if (!seen) logger.error({ err: cause, path: formatted.path, subgraph: serviceName }, 'masked error');
      return { message: 'Internal error', ...place, extensions: { code: internalCode } };
    }
    const message =
      validationErrorCode === 'INTROSPECTION_DISABLED'
        ? 'Introspection is not allowed here.'
        : shortMessage(formatted.message);
    const shown = ofSubgraph ? flatDetails(details) : undefined;
    return { message, ...place, extensions: shown === undefined ? { code } : { code, details: shown } };
  };
};

/** Apollo Server's refusals without a code (a persisted query whose hash is wrong) say by status whose fault it is. */
const isRequestFault = (thrown: unknown): boolean => {
  if (!(thrown instanceof GraphQLError) || thrown.extensions['code'] !== undefined) return false;
  const { status } = (thrown.extensions['http'] ?? {}) as { status?: unknown };
  return typeof status === 'number' && status >= 400 && status < 500;
};

/** The details of a refusal, as far as they are a flat object of plain values. */
const flatDetails = (details: unknown): Record<string, unknown> | undefined => {
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return undefined;
  const plain = Object.entries(details).filter(([, value]) => value === null || typeof value !== 'object');
  return plain.length === 0 ? undefined : Object.fromEntries(plain);
};

/** An error of the gateway's own about a subgraph; its text names neither subgraph nor address. */
export const subgraphUnavailable = (): GraphQLError =>
  new GraphQLError('This part of the graph cannot be reached at the moment. Try again later.', {
    extensions: { code: gatewayCode.subgraphUnavailable },
  });

/** The answer that was not there when the request's time was up. */
export const deadlineExceeded = (): GraphQLError =>
  new GraphQLError('This part of the graph did not answer in time. Ask for less, or try again later.', {
    extensions: { code: gatewayCode.deadlineExceeded },
  });
