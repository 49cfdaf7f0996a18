import type { Clock } from '@cinegraph/service/clock';
import { identityHeader } from '@cinegraph/service/identity';
import type { Logger } from '@cinegraph/service/logger';
import type { Viewer } from '@cinegraph/service/viewer';
import { deadlineExceeded, meansFailure, subgraphUnavailable } from '../errors.js';
import { createBreaker } from './breaker.js';
import { cacheHintOf } from './cache-hint.js';
import { shareFetches } from './coalesce.js';
import { createEntityBatcher } from './entity-batches.js';
import { bodyOf, failedFetch, remainingMs, type Asker, type Fetch, type FetchResult } from './request.js';
import { readResponse } from './response.js';
import { createRetryBudget, isRetriedStatus } from './retries.js';
import type { Connect } from './tls.js';
import { createTransport, type HttpResponse, type TransportFailure } from './transport.js';

export type { FetchResult, SubgraphRequest } from './request.js';

/** The header that carries how many milliseconds of the request's time are left. */
export const deadlineHeader = 'x-deadline-ms';

/** Whether the last fetch from a subgraph had a response. */
export type SubgraphState = 'unknown' | 'reachable' | 'unreachable';

/** Sends requests to one subgraph. */
export interface SubgraphClient {
  /** Never rejects. A failure is logged with its cause, and returned as an error without internals. */
  readonly fetch: Fetch;
  /** The same for documents that do not depend on who asks: the subgraph receives nothing of the client. */
  readonly anonymous: { readonly fetch: Fetch };
  state(): SubgraphState;
  /** Waits for the fetches under way, then closes the connections. */
  close(): Promise<void>;
}

/** How one attempt of a fetch ended. */
interface Attempt {
  readonly result: FetchResult;
  /** Whether the subgraph has failed; undefined if the attempt does not show it. */
  readonly failed: boolean | undefined;
  /** True if a query may be sent again. */
  readonly mayRetry: boolean;
}

/** A deadline that ends a fetch sooner than this may have been used up by others, and proves no failure. */
const fairWaitMs = 500;

/** Returns true for an http or https URL. */
export const isHttpUrl = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/**
 * Creates the client of one subgraph, over kept-alive connections. A fetch ends at its deadline, follows no
 * redirect and reads at most `maxResponseBytes`. A failed query is sent again within the retry budget. While
 * nearly all fetches fail, they fail without being sent. With `coalesces`, concurrent queries share requests.
 *
 * Of the headers of a response, the client of the gateway gets those of `returnHeaders`.
 *
 * Of the client, the subgraph receives the forwarded headers that `forwardHeaders` names, and the viewer's
 * identity as `sign` writes it; without `sign` fetches are unsigned. Only what it receives decides which
 * queries share requests. With any header, an HTTP 401 or 403 concerns the client and not the gateway.
 */
export const createSubgraphClient = (options: {
  name: string;
  url: string;
  connect: Connect;
  logger: Logger;
  clock: Clock;
  sign?: ((viewer: Viewer) => string) | undefined;
  forwardHeaders: readonly string[];
  coalesces: boolean;
  returnHeaders: readonly string[];
  maxResponseBytes?: number;
  maxConnections?: number;
}): SubgraphClient => {
  const { name, url, connect, logger, clock, sign, forwardHeaders, coalesces, returnHeaders } = options;
  const { maxResponseBytes = 32 << 20, maxConnections = 256 } = options;
  const target = isHttpUrl(url) ? new URL(url) : undefined;
  const transport = target && createTransport({ url: target, maxResponseBytes, maxConnections, connect });
  const headersOf = createHeaders(target && basicCredentials(target), sign);
  const narrow = createNarrowing(forwardHeaders, sign !== undefined);
  let state: SubgraphState = 'unknown';

  const setState = (next: SubgraphState, reason?: unknown): void => {
    if (state === next) return;
    state = next;
    if (next === 'unreachable') logger.warn({ subgraph: name, err: reason }, 'a subgraph cannot be reached');
    else logger.info({ subgraph: name }, 'a subgraph responds');
  };

  const breaker = createBreaker(clock, (open) => {
    if (open)
      logger.warn({ subgraph: name }, 'a subgraph fails; it gets one fetch a second until one succeeds');
    else logger.info({ subgraph: name }, 'a subgraph works again; it gets all fetches');
  });
  const retries = createRetryBudget();

  const afterFailure = (
    { error, hasBegun }: TransportFailure,
    { deadline }: Asker,
    sentAtMs: number,
  ): Attempt => {
    if (deadline.aborted !== undefined) {
      if (deadline.aborted === 'deadline')
        setState('unreachable', new Error('no response within the deadline'));
      const isFair = deadline.aborted === 'deadline' && clock.now().getTime() - sentAtMs >= fairWaitMs;
      return { result: failedFetch(deadlineExceeded()), failed: isFair || undefined, mayRetry: false };
    }
    setState('unreachable', error);
    logger.warn({ subgraph: name, err: error }, 'a fetch failed');
    // After a part of a response, the fault may be in what was asked, as a response beyond the limit is.
    return {
      result: failedFetch(subgraphUnavailable()),
      failed: !hasBegun || undefined,
      mayRetry: !hasBegun,
    };
  };

  const afterResponse = (response: HttpResponse, representations: number | undefined): Attempt => {
    setState('reachable');
    const { status, headers, text } = response;
    const read =
      forwardHeaders.length === 0 && (status === 401 || status === 403)
        ? 'the subgraph refuses the gateway'
        : readResponse(text, status, representations);
    if (typeof read === 'string') {
      logger.error(
        { subgraph: name, status, reason: read, body: text.slice(0, 500) },
        'a response is not usable',
      );
      const result = failedFetch(subgraphUnavailable());
      return { result, failed: true, mayRetry: isRetriedStatus(status) };
    }
    const { data, errors } = read;
    const failed = data === undefined && errors.every(({ extensions }) => meansFailure(extensions.code));
    const result = { data, errors, failure: undefined, cacheHint: cacheHintOf(headers) };
    const returned = returnHeaders.length > 0 ? pickHeaders(headers, returnHeaders) : undefined;
    return { result: returned ? { ...result, returned } : result, failed, mayRetry: false };
  };

  const send: Fetch = async (request, asker) => {
    const { deadline } = asker;
    const isQuery = request.kind === 'query';
    if (!transport) {
      logger.error({ subgraph: name }, 'a subgraph has no usable URL');
      return failedFetch(subgraphUnavailable());
    }
    const outgoing = { body: bodyOf(request), headers: () => headersOf(asker), isQuery, deadline };
    for (let isRetry = false; ; isRetry = true) {
      if (remainingMs(deadline) < 1 || deadline.aborted !== undefined) return failedFetch(deadlineExceeded());
      const admission = breaker.admit();
      if (admission === undefined) return failedFetch(subgraphUnavailable());
      const sentAtMs = clock.now().getTime();
      if (!isRetry) retries.earn();
      const outcome = await transport.send(outgoing);
      const attempt =
        'error' in outcome
          ? afterFailure(outcome, asker, sentAtMs)
          : afterResponse(outcome, request.representations?.length);
      if (attempt.failed !== undefined) breaker.record(admission, attempt.failed);
      const retried = isQuery && !isRetry && attempt.mayRetry && (await retries.spend(deadline));
      if (!retried) return attempt.result;
    }
  };

  const shared = shareFetches(send);
  const fetchEntities = createEntityBatcher(send);
  const fetchAlone: Fetch = (request, asker) =>
    request.companion ? fetchEntities(undefined, request, asker) : send(request, asker);
  const fetchQuery = coalesces ? shared.fetch : fetchAlone;

  const fetch: Fetch = async (request, asker) => {
    const { deadline } = asker;
    if (remainingMs(deadline) < 1 || deadline.aborted !== undefined) return failedFetch(deadlineExceeded());
    const isQuery = request.kind === 'query';
    const narrowed = narrow(asker);
    const result = await (isQuery ? fetchQuery : send)(request, narrowed);
    // What is read from now on must show what was written.
    if (!isQuery) shared.forget();
    for (const name in result.returned) asker.returnHeader?.(name, result.returned[name] ?? '');
    return result;
  };

  return {
    fetch,
    anonymous: { fetch: (request, asker) => fetch(request, { ...asker, viewer: null, forwarded: {} }) },
    state: () => state,
    close: async () => transport?.close(),
  };
};

/**
 * Creates the function that leaves only that of an asker which the subgraph receives: both the headers of a
 * fetch and the key under which it is shared are made from the result.
 */
const createNarrowing = (forwardHeaders: readonly string[], isSigned: boolean) => {
  const names = new Set(forwardHeaders);
  return ({ viewer, forwarded, deadline }: Asker): Asker => {
    let kept: Record<string, string> | undefined;
    for (const name in forwarded) {
      if (!names.has(name)) continue;
      kept ??= {};
      kept[name] = forwarded[name] ?? '';
    }
    return { viewer: isSigned ? viewer : null, forwarded: kept ?? nothing, deadline };
  };
};

const nothing: Asker['forwarded'] = {};

/** Creates the function that writes the headers of a fetch, as names and values in turn. */
const createHeaders =
  (authorization: string | undefined, sign: ((viewer: Viewer) => string) | undefined) =>
  ({ forwarded, viewer, deadline }: Asker): string[] => {
    const headers = [
      'content-type',
      'application/json',
      'accept',
      'application/json, application/graphql-response+json;q=0.9',
      deadlineHeader,
      String(Math.max(1, remainingMs(deadline))),
    ];
    if (authorization !== undefined && forwarded['authorization'] === undefined)
      headers.push('authorization', authorization);
    for (const name in forwarded) headers.push(name, forwarded[name] ?? '');
    if (sign) headers.push(identityHeader, sign(viewer));
    return headers;
  };

/** Returns those headers of a response that it has; undefined for none. */
const pickHeaders = (
  headers: HttpResponse['headers'],
  names: readonly string[],
): Readonly<Record<string, string>> | undefined => {
  let picked: Record<string, string> | undefined;
  for (const name of names) {
    const value = headers[name];
    if (value === undefined) continue;
    picked ??= {};
    picked[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return picked;
};

/** Returns the Basic credentials that a URL holds, if any. */
const basicCredentials = ({ username, password }: URL): string | undefined =>
  username || password
    ? `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
    : undefined;
