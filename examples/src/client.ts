import { print, type TypedQueryDocumentNode } from 'graphql';
import type { ErrorCode } from './generated/operations.js';

/** Why a part of the answer is missing: a code of the schema's own list, or one of the gateway's (see README). */
export interface GraphRefusal {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: ErrorCode | (string & {}) };
}

/** An answer of the graph; beside refusals `data` holds what could be answered all the same. */
export interface Answer<Data> {
  readonly data: Data | null;
  readonly refusals: readonly GraphRefusal[];
}

/** Asks the graph; what it answers has the type of the operation, and its variables are checked by the compiler. */
export type Ask = <Data, Variables>(
  operation: TypedQueryDocumentNode<Data, Variables>,
  variables: Variables,
) => Promise<Answer<Data>>;

/**
 * A client of the graph at this address, on behalf of a viewer or of nobody. Rejects where nothing answers, or what
 * answers is no GraphQL; a refusal of the graph is no rejection.
 */
export const createClient =
  (url: string, viewer?: string): Ask =>
  async <Data, Variables>(operation: TypedQueryDocumentNode<Data, Variables>, variables: Variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json;q=0.9',
        // The development header; a production gateway takes the viewer from elsewhere.
        ...(viewer !== undefined && { 'x-viewer-id': viewer }),
      },
      body: JSON.stringify({ query: print(operation), variables }),
    });
    if (response.headers.get('content-type')?.includes('json') !== true)
      throw new Error(`${url} answers no GraphQL (status ${response.status}).`);
    const { data, errors } = (await response.json()) as {
      data?: Data | null;
      errors?: readonly GraphRefusal[];
    };
    return { data: data ?? null, refusals: errors ?? [] };
  };
