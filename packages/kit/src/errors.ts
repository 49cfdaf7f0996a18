import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from './logger.js';

/** Facts that go with a refusal, safe to show: plain values only. */
export type RefusalDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * An expected no: a stable code for programs and a message that tells a person what to do.
 * Both reach the client as they are, so neither may hold anything internal.
 */
export class Refusal extends GraphQLError {
  readonly code: string;
  readonly details: RefusalDetails | undefined;

  constructor(code: string, message: string, details?: RefusalDetails) {
    super(message, { extensions: details === undefined ? { code } : { code, details } });
    this.name = 'Refusal';
    this.code = code;
    this.details = details;
  }
}

/** What keeps a process from starting, said in one sentence; the process prints it and exits with 1. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** Codes that kit itself refuses with; a subgraph lists them, with its own, in its schema's `ErrorCode`. */
export const kitCode = {
  badUserInput: ApolloServerErrorCode.BAD_USER_INPUT,
  unauthenticated: 'UNAUTHENTICATED',
  idempotencyKeyReused: 'IDEMPOTENCY_KEY_REUSED',
  storeUnavailable: 'STORE_UNAVAILABLE',
  overloaded: 'OVERLOADED',
  internal: ApolloServerErrorCode.INTERNAL_SERVER_ERROR,
} as const;

const requestCodes: ReadonlySet<string> = new Set(
  Object.values(ApolloServerErrorCode).filter((code) => code !== kitCode.internal),
);

/** SQLSTATE classes and client errors that say "the store is away", not "the statement is wrong". */
const awayStates = /^(08|53|57P|XX000|25P03|55P03)/;
const awayCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2028',
]);
const awayMessages =
  /timeout exceeded when trying to connect|connection terminated|connection ended|cannot use a pool after|not queryable/i;

/**
 * True when an error means that the store cannot be asked now (down, restarting, pool exhausted, statement cut off),
 * so that the same work may succeed later. Looks through the causes that drivers and Prisma wrap around the origin.
 */
export const isStoreAway = (error: unknown): boolean => {
  for (let current: unknown = error, depth = 0; depth < 6; depth += 1) {
    if (typeof current !== 'object' || current === null) return false;
    const { code, originalCode, message, cause, meta } = current as {
      code?: unknown;
      originalCode?: unknown;
      message?: unknown;
      cause?: unknown;
      meta?: { driverAdapterError?: unknown };
    };
    for (const candidate of [code, originalCode]) {
      if (typeof candidate !== 'string') continue;
      if (awayCodes.has(candidate)) return true;
      if (candidate.length === 5 && (awayStates.test(candidate) || candidate === '57014')) {
        return true;
      }
    }
    if (typeof message === 'string' && awayMessages.test(message)) return true;
    current = cause ?? meta?.driverAdapterError;
  }
  return false;
};

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
    if (original instanceof Refusal) {
      return { message: original.message, ...place, extensions: { ...original.extensions } };
    }
    const code = formatted.extensions?.['code'];
    if (
      original instanceof GraphQLError &&
      typeof code === 'string' &&
      requestCodes.has(code)
    ) {
      return { message: formatted.message, ...place, extensions: { code } };
    }
    if (isStoreAway(original)) {
      logger.warn({ err: original, path: formatted.path }, 'the store is away');
      return {
        message: 'The data cannot be reached at the moment. Try again later.',
        ...place,
        extensions: { code: kitCode.storeUnavailable },
      };
    }
    logger.error({ err: original, path: formatted.path }, 'unexpected error');
    return { message: 'Internal error', ...place, extensions: { code: kitCode.internal } };
  };
