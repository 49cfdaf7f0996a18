import { isUnavailable } from '@cinegraph/database/store-errors';
import type { Logger } from '@cinegraph/service/logger';
import { refusalCode, shortMessage, withoutSuggestion } from '@cinegraph/service/refusal';
import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';

const requestCodes: ReadonlySet<string> = new Set(
  Object.values(ApolloServerErrorCode).filter((code) => code !== refusalCode.internal),
);

/**
 * Returns the `formatError` of Apollo Server for subgraphs. Refusals and errors of the request keep their
 * message, code and details. An unavailable store becomes `STORE_UNAVAILABLE`. Anything else is a bug: it is
 * logged completely, and the client gets "Internal error". With `hidesSchema` the messages about a request
 * suggest no names.
 */
export const maskErrors =
  (logger: Logger, { hidesSchema }: { hidesSchema: boolean }) =>
  (formatted: GraphQLFormattedError, thrown: unknown): GraphQLFormattedError => {
    const original = unwrapResolverError(thrown);
    const location = {
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
    };
    const { refusal, details } = formatted.extensions ?? {};
    if (typeof refusal === 'string') {
      return {
        message: shortMessage(formatted.message),
        ...location,
        extensions: { code: refusal, ...(details !== undefined && { details }) },
      };
    }
    const code = formatted.extensions?.['code'];
    if (original instanceof GraphQLError && typeof code === 'string' && requestCodes.has(code)) {
      const message = hidesSchema ? withoutSuggestion(formatted.message) : formatted.message;
      return { message: shortMessage(message), ...location, extensions: { code } };
    }
    if (isUnavailable(original)) {
      logger.warn({ err: original, path: formatted.path }, 'the store is unavailable');
      return {
        message: 'The data cannot be reached at the moment. Try again later.',
        ...location,
        extensions: { code: refusalCode.storeUnavailable },
      };
    }
    logger.error({ err: original, path: formatted.path }, 'unexpected error');
    return { message: 'Internal error', ...location, extensions: { code: refusalCode.internal } };
  };
