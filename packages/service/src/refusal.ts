import { ApolloServerErrorCode } from '@apollo/server/errors';
import { GraphQLError } from 'graphql';

/** Facts that go with a refusal, safe to show: plain values only. */
export type RefusalDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * An expected no: a stable code for programs and a message that tells a person what to do.
 * Both reach the client as they are, so neither may hold anything internal.
 */
export class Refusal extends GraphQLError {
  readonly code: string;
  readonly details: RefusalDetails | undefined;

  constructor(code: string, message: string, details?: RefusalDetails, http?: { readonly status: number }) {
    // GraphQL and Apollo Server replace the code of an error that a scalar throws while it reads an argument; they keep
    // `refusal`, from which `maskErrors` restores it.
    super(message, {
      extensions: { code, refusal: code, ...(details && { details }), ...(http && { http }) },
    });
    this.name = 'Refusal';
    this.code = code;
    this.details = details;
  }
}

/** A refusal of a request as a whole, before anything of it was done: HTTP 400. */
export const refusedRequest = (message: string): Refusal =>
  new Refusal(refusalCode.badUserInput, message, undefined, { status: 400 });

/** Codes that kit itself refuses with; a subgraph lists them, with its own, in its schema's `ErrorCode`. */
export const refusalCode = {
  badUserInput: ApolloServerErrorCode.BAD_USER_INPUT,
  unauthenticated: 'UNAUTHENTICATED',
  idempotencyKeyReused: 'IDEMPOTENCY_KEY_REUSED',
  storeUnavailable: 'STORE_UNAVAILABLE',
  overloaded: 'OVERLOADED',
  internal: ApolloServerErrorCode.INTERNAL_SERVER_ERROR,
} as const;

/** Longer texts of errors repeat what the client sent; so much of one is shown. */
const maxMessageLength = 500;

/** The text of an error as a client gets it: at most 500 characters. */
export const shortMessage = (message: string): string =>
  message.length > maxMessageLength ? `${message.slice(0, maxMessageLength).toWellFormed()}…` : message;
