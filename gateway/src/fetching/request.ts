import type { GraphQLError } from 'graphql';
import type { RequestContext, TimeLimit } from '../request/context.js';
import type { CacheHint } from './cache-hint.js';
import type { SubgraphResponse } from './response.js';

/** What a subgraph is asked. */
export interface SubgraphRequest {
  readonly kind: 'query' | 'mutation';
  /** The document as JSON text with its quotes, as `"query($representations:[_Any!]!){…}"`. */
  readonly query: string;
  /**
   * The same document without the operation's name; absent if it has none. Queries with the same one share
   * requests, whatever their names are.
   */
  readonly unnamed?: string;
  /** The other variables as JSON members without braces, in a fixed order, as `"id":"1","first":2`. */
  readonly variables: string;
  /** For a fetch of entities: the JSON text of each representation. */
  readonly representations?: readonly string[];
  /** For a fetch of entities that may travel with others of its plan. */
  readonly companion?: Companion | undefined;
}

/** One of the fetches of entities from a subgraph that start together in a plan. */
export interface Companion {
  readonly documents: CompanionDocuments;
  readonly index: number;
}

/** The documents of fetches that travel together; the same object for all of them. */
export interface CompanionDocuments {
  /**
   * Returns one document, as JSON text, for the fetches with these indexes. The entities of each are under
   * `aliasOf(index)`, and its representations in the variable `representationsOf(index)`.
   */
  readonly combined: (indexes: readonly number[]) => string;
  /** Until then, in the time of `performance.now()`, they are sent alone, because a request was refused. */
  apartUntilMs: number;
}

/** The alias of `_entities` for one of several fetches in a document. */
export const aliasOf = (index: number): string => `_${index}`;

/** The name of the variable for the representations of one of several fetches in a document. */
export const representationsOf = (index: number): string => `representations${index}`;

/** For whom a subgraph is asked, and for how long. */
export interface Asker extends Pick<RequestContext, 'viewer' | 'forwarded'> {
  readonly deadline: TimeLimit;
  /** Passes a header of the subgraph's response on to the client. */
  readonly returnHeader?: RequestContext['returnHeader'];
}

/** What a fetch brought. The caller owns `data` and may change it. */
export interface FetchResult extends SubgraphResponse {
  /** Why there is no usable response; `data` is then undefined, and `errors` is empty. */
  readonly failure: GraphQLError | undefined;
  /**
   * How long the response may be cached, in seconds, and by whom: 0 if it says nothing or the fetch failed.
   */
  readonly cacheHint: CacheHint;
  /** True if other fetches, of this or of other requests, waited for the same response. */
  readonly isShared?: boolean;
  /** The headers of the response that are returned to the client; absent if there are none. */
  readonly returned?: Readonly<Record<string, string>>;
}

/** Asks a subgraph. Never rejects. */
export type Fetch = (request: SubgraphRequest, asker: Asker) => Promise<FetchResult>;

/** Returns the result of a fetch without a usable response. */
export const failedFetch = (failure: GraphQLError): FetchResult => ({
  data: undefined,
  errors: [],
  failure,
  cacheHint: { maxAge: 0, scope: 'PUBLIC' },
});

/** Returns the body of the HTTP request. */
export const bodyOf = ({ query, variables, representations }: SubgraphRequest): string => {
  if (representations === undefined) return `{"query":${query},"variables":{${variables}}}`;
  const separator = variables === '' ? '' : ',';
  return `{"query":${query},"variables":{${variables}${separator}"representations":[${representations.join()}]}}`;
};

/**
 * Returns what a result may depend on besides the request: the viewer and all forwarded headers. Two fetches
 * share a request only if their scopes are equal.
 */
export const scopeOf = ({ viewer, forwarded }: Asker): string => {
  for (const _name in forwarded) return JSON.stringify([viewer, forwarded]);
  return viewer === null ? '' : JSON.stringify(viewer);
};

/** Returns how many whole milliseconds are left until the response is due. */
export const remainingMs = ({ dueAtMs }: TimeLimit): number => Math.floor(dueAtMs - performance.now());
