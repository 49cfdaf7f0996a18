import { isUnavailable } from '@cinegraph/database/store-errors';
import type { Logger } from '@cinegraph/service/logger';
import { refusalCode, shortMessage } from '@cinegraph/service/refusal';
import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';

const requestCodes: ReadonlySet<string> = new Set(
  Object.values(ApolloServerErrorCode).filter((code) => code !== refusalCode.internal),
);

/**
 * Apollo Server's `formatError` for our services: refusals and errors of the request pass with code and details; a store
 * that is away becomes `STORE_UNAVAILABLE`; all else is a bug, logged whole and shown as "Internal error".
 */
export const maskErrors =
  (logger: Logger) =>
  (formatted: GraphQLFormattedError, thrown: unknown): GraphQLFormattedError => {
    const original = unwrapResolverError(thrown);
    const place = {
      ...(formatted.path && { path: formatted.path }),
      ...(formatted.locations && { locations: formatted.locations }),
    };
    const { refusal, details } = formatted.extensions ?? {};
    if (typeof refusal === 'string') {
      return {
        message: shortMessage(formatted.message),
        ...place,
        extensions: { code: refusal, ...(details !== undefined && { details }) },
      };
    }
    const code = formatted.extensions?.['code'];
    if (original instanceof GraphQLError && typeof code === 'string' && requestCodes.has(code)) {
      return { message: shortMessage(formatted.message), ...place, extensions: { code } };
    }
    if (isUnavailable(original)) {
      logger.warn({ err: original, path: formatted.path }, 'the store is away');
      return {
        message: 'The data cannot be reached at the moment. Try again later.',
        ...place,
        extensions: { code: refusalCode.storeUnavailable },
      };
    }
    logger.error({ err: original, path: formatted.path }, 'unexpected error');
    return { message: 'Internal error', ...place, extensions: { code: refusalCode.internal } };
  };
