import { ApolloServerErrorCode } from '@apollo/server/errors';
import { GraphQLError } from 'graphql';

/** Details of a refusal for programs: plain values that the client may see. */
export type RefusalDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * An expected error: a stable code for programs, and a message that says what a person can do. Both reach the
 * client unchanged, so neither may contain anything internal.
 */
export class Refusal extends GraphQLError {
  readonly code: string;
  readonly details: RefusalDetails | undefined;

  constructor(code: string, message: string, details?: RefusalDetails, http?: { readonly status: number }) {
    // GraphQL and Apollo Server replace the code of an error that a scalar throws while it reads an argument;
    // they keep `refusal`, from which `maskErrors` restores it.
    super(message, {
      extensions: { code, refusal: code, ...(details && { details }), ...(http && { http }) },
    });
    this.name = 'Refusal';
    this.code = code;
    this.details = details;
  }
}

/** Returns the refusal of a whole request before any of it was executed. Its HTTP status is 400. */
export const refusedRequest = (message: string): Refusal =>
  new Refusal(refusalCode.badUserInput, message, undefined, { status: 400 });

/** Codes that the shared packages use. A subgraph lists them, with its own, in its schema's `ErrorCode`. */
export const refusalCode = {
  badUserInput: ApolloServerErrorCode.BAD_USER_INPUT,
  unauthenticated: 'UNAUTHENTICATED',
  forbidden: 'FORBIDDEN',
  idempotencyKeyReused: 'IDEMPOTENCY_KEY_REUSED',
  storeUnavailable: 'STORE_UNAVAILABLE',
  overloaded: 'OVERLOADED',
  internal: ApolloServerErrorCode.INTERNAL_SERVER_ERROR,
} as const;

/** Returns an error message without the similar names that graphql-js suggests at its end. */
export const withoutSuggestion = (message: string): string => message.replace(/ Did you mean [^]*\?$/, '');

/** Messages are longer than this only if they repeat the client's request. */
const maxMessageLength = 500;

/** Returns an error message as a client sees it: cut to 500 characters. */
export const shortMessage = (message: string): string =>
  message.length > maxMessageLength ? `${message.slice(0, maxMessageLength).toWellFormed()}…` : message;
