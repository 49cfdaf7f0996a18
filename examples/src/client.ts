import { print, type TypedQueryDocumentNode } from 'graphql';
import type { ErrorCode } from './generated/operations.js';

/**
 * Why a part of the response is missing. The code is one of `ErrorCode` in the schema, or one of the gateway.
 */
export interface GraphRefusal {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: ErrorCode | (string & {}) };
}

/**
 * A response of the graph. `data` may be present together with refusals: it holds the parts that succeeded.
 */
export interface Answer<Data> {
  readonly data: Data | null;
  readonly refusals: readonly GraphRefusal[];
}

/** Sends an operation. The compiler knows the type of its data and checks its variables. */
export type Ask = <Data, Variables>(
  operation: TypedQueryDocumentNode<Data, Variables>,
  variables: Variables,
) => Promise<Answer<Data>>;

/**
 * Creates a client of the graph at this URL, for the viewer of an access token or for nobody. Its promise
 * rejects if the server does not respond or does not respond with JSON. A refusal of the graph is part of a
 * response and does not reject.
 */
export const createClient =
  (url: string, token?: string): Ask =>
  async <Data, Variables>(operation: TypedQueryDocumentNode<Data, Variables>, variables: Variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json;q=0.9',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query: print(operation), variables }),
    });
    if (response.headers.get('content-type')?.includes('json') !== true)
      throw new Error(`${url} did not respond with GraphQL (status ${response.status}).`);
    const { data, errors } = (await response.json()) as {
      data?: Data | null;
      errors?: readonly GraphRefusal[];
    };
    return { data: data ?? null, refusals: errors ?? [] };
  };
