import { identityHeader } from '@cinegraph/service/identity';
import type { Logger } from '@cinegraph/service/logger';
import type { Viewer } from '@cinegraph/service/viewer';
import type { GraphQLError } from 'graphql';
import { deadlineExceeded, subgraphUnavailable } from '../errors.js';
import type { AbortReason, Deadline, RequestContext } from '../request/context.js';
import { cacheHintOf, type CacheHint } from './cache-hint.js';
import { readResponse, type SubgraphResponse } from './response.js';
import { createTransport, type HttpResponse } from './transport.js';

/** The header that carries how many milliseconds of the request's time are left. */
export const deadlineHeader = 'x-deadline-ms';

/** Whether the last fetch from a subgraph had a response. */
export type SubgraphState = 'unknown' | 'reachable' | 'unreachable';

/** What a subgraph is asked. */
export interface SubgraphRequest {
  readonly kind: 'query' | 'mutation';
  /** The document as JSON text with its quotes, as `"query($representations:[_Any!]!){…}"`. */
  readonly query: string;
  /** The other variables as JSON members without braces, in a fixed order, as `"id":"1","first":2`. */
  readonly variables: string;
  /** For a fetch of entities: the JSON text of each representation. */
  readonly representations?: readonly string[];
}

/** What a fetch brought. */
export interface FetchResult extends SubgraphResponse {
  /** Why there is no usable response; `data` is then undefined, and `errors` is empty. */
  readonly failure: GraphQLError | undefined;
  /**
   * How long the response may be cached, in seconds, and by whom: 0 if it says nothing or the fetch failed.
   */
  readonly cacheHint: CacheHint;
}

/** Sends requests to one subgraph. */
export interface SubgraphClient {
  /** Never rejects. A failure is logged with its cause, and returned as an error without internals. */
  fetch(request: SubgraphRequest, context: RequestContext): Promise<FetchResult>;
  state(): SubgraphState;
  /** Waits for the fetches under way, then closes the connections. */
  close(): Promise<void>;
}

/** Returns true for an http or https URL. */
export const isHttpUrl = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/**
 * Creates the client of one subgraph, over kept-alive connections. A fetch ends at the request's deadline,
 * follows no redirect and reads at most `maxResponseBytes`. `sign` writes the viewer's identity; without it
 * fetches are unsigned. `passesRefusal` is true if an HTTP 401 or 403 concerns the client, whose headers are
 * forwarded, and not the gateway.
 */
export const createSubgraphClient = (options: {
  name: string;
  url: string;
  logger: Logger;
  sign?: ((viewer: Viewer) => string) | undefined;
  passesRefusal: boolean;
  maxResponseBytes?: number;
  maxConnections?: number;
}): SubgraphClient => {
  const { name, url, logger, sign, passesRefusal } = options;
  const { maxResponseBytes = 32 << 20, maxConnections = 256 } = options;
  const target = isHttpUrl(url) ? new URL(url) : undefined;
  const transport = target && createTransport({ url: target, maxResponseBytes, maxConnections });
  const authorization = target && basicCredentials(target);
  let state: SubgraphState = 'unknown';

  const setState = (next: SubgraphState, reason?: unknown): void => {
    if (state === next) return;
    state = next;
    if (next === 'unreachable') logger.warn({ subgraph: name, err: reason }, 'a subgraph cannot be reached');
    else logger.info({ subgraph: name }, 'a subgraph responds');
  };

  const headersOf = ({ forwarded, viewer, deadline }: RequestContext) => {
    const headers: Record<string, string> = {
      ...(authorization !== undefined && { authorization }),
      ...forwarded,
      'content-type': 'application/json',
      accept: 'application/json, application/graphql-response+json;q=0.9',
      [deadlineHeader]: String(remainingMs(deadline)),
    };
    if (sign) headers[identityHeader] = sign(viewer);
    return headers;
  };

  const fetch = async (request: SubgraphRequest, context: RequestContext): Promise<FetchResult> => {
    const { signal } = context.deadline;
    const abortReason = () => (signal.aborted ? (signal.reason as AbortReason) : undefined);
    if (remainingMs(context.deadline) < 1 || abortReason() !== undefined) return failed(deadlineExceeded());
    if (!transport) {
      logger.error({ subgraph: name }, 'a subgraph has no usable URL');
      return failed(subgraphUnavailable());
    }
    let response: HttpResponse;
    try {
      response = await transport.send({
        body: bodyOf(request),
        headers: () => headersOf(context),
        isQuery: request.kind === 'query',
        signal,
      });
    } catch (error) {
      const reason = abortReason();
      if (reason === 'deadline') setState('unreachable', new Error('no response within the deadline'));
      if (reason !== undefined) return failed(deadlineExceeded());
      setState('unreachable', error);
      logger.warn({ subgraph: name, err: error }, 'a fetch failed');
      return failed(subgraphUnavailable());
    }
    setState('reachable');
    const { status, headers, text } = response;
    const read =
      !passesRefusal && (status === 401 || status === 403)
        ? 'the subgraph refuses the gateway'
        : readResponse(text, status, request.representations?.length);
    if (typeof read === 'string') {
      logger.error(
        { subgraph: name, status, reason: read, body: text.slice(0, 500) },
        'a response is not usable',
      );
      return failed(subgraphUnavailable());
    }
    return { data: read.data, errors: read.errors, failure: undefined, cacheHint: cacheHintOf(headers) };
  };

  return { fetch, state: () => state, close: async () => transport?.close() };
};

/** Returns how many whole milliseconds are left until the response is due. */
const remainingMs = ({ dueAtMs }: Deadline): number => Math.floor(dueAtMs - performance.now());

const bodyOf = ({ query, variables, representations }: SubgraphRequest): string => {
  if (representations === undefined) return `{"query":${query},"variables":{${variables}}}`;
  const separator = variables === '' ? '' : ',';
  return `{"query":${query},"variables":{${variables}${separator}"representations":[${representations.join()}]}}`;
};

const failed = (failure: GraphQLError): FetchResult => ({
  data: undefined,
  errors: [],
  failure,
  cacheHint: { maxAge: 0, scope: 'PUBLIC' },
});

/** Returns the Basic credentials that a URL holds, if any. */
const basicCredentials = ({ username, password }: URL): string | undefined =>
  username || password
    ? `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
    : undefined;
