import type { GraphQLDataSource, GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import type { GraphQLRequestContext } from '@apollo/server';
import { readCacheControl } from '@cinegraph/service/http/cache-control';
import type { Logger } from '@cinegraph/service/logger';
import { identityHeader } from '@cinegraph/service/identity';
import type { Viewer } from '@cinegraph/service/viewer';
import type { GraphQLError } from 'graphql';
import { Pool } from 'undici';
import { deadlineExceeded, subgraphUnavailable } from '../errors.js';
import type { EndReason, RequestContext } from '../request.js';
import { type Answer, missingFields, readAnswer } from './answer.js';

/** What all fetches of a request allow together; Apollo Server writes it down under this name. */
type CachePolicy = GraphQLRequestContext<RequestContext>['overallCachePolicy'];

/** The header that tells a subgraph how many milliseconds are left of the request's time. */
export const deadlineHeader = 'x-deadline-ms';

/** What is known of a subgraph from the last fetch. */
export type SubgraphState = 'unknown' | 'reachable' | 'unreachable';

/** How the gateway speaks to one subgraph. */
export interface SubgraphClient {
  readonly dataSource: GraphQLDataSource<RequestContext>;
  state(): SubgraphState;
  /** Finishes the fetches under way, then closes the connections. */
  close(): Promise<void>;
}

export const isHttpUrl = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

const connectTimeoutMs = 5_000;

/**
 * Speaks to one subgraph over kept-alive connections. A fetch ends with the request's deadline, follows no redirect and
 * reads at most `maxAnswerBytes`. The client's answer may be kept no longer than this fetch's `Cache-Control` allows, which
 * is not at all where it has none. It never throws: a fetch without a usable answer is put down in the request's
 * failures, and the fields it would have brought stay null. What happened is logged here, and told nobody else.
 * `sign` writes who is asking; without it fetches are unsigned. `passesRefusal` says whether an HTTP 401 or 403 is about
 * the client (its headers were forwarded) and not about us.
 */
export const createSubgraphClient = (options: {
  name: string;
  url: string;
  logger: Logger;
  sign?: ((viewer: Viewer) => string) | undefined;
  passesRefusal: boolean;
  maxAnswerBytes?: number;
  maxConnections?: number;
}): SubgraphClient => {
  const { name, url, logger, sign, passesRefusal, maxAnswerBytes = 32 << 20, maxConnections = 256 } = options;
  const target = isHttpUrl(url) ? new URL(url) : undefined;
  const path = target && target.pathname + target.search;
  const pool =
    target &&
    new Pool(target.origin, {
      connections: maxConnections,
      keepAliveTimeout: 30_000,
      connect: { timeout: connectTimeoutMs },
      // The request's deadline bounds these two; undici's own timers would only add a second, coarser one.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: maxAnswerBytes,
    });
  const credentials =
    target && (target.username || target.password)
      ? `Basic ${Buffer.from(`${decodeURIComponent(target.username)}:${decodeURIComponent(target.password)}`).toString('base64')}`
      : undefined;
  let state: SubgraphState = 'unknown';

  const setState = (next: SubgraphState, reason?: unknown): void => {
    if (state === next) return;
    state = next;
    if (next === 'unreachable') logger.warn({ subgraph: name, err: reason }, 'a subgraph cannot be reached');
    else logger.info({ subgraph: name }, 'a subgraph answers');
  };

  /** A usable answer, or why there is none; `restrict` is told for how long it may be kept. */
  const ask = async (
    request: GraphQLDataSourceProcessOptions['request'],
    context: RequestContext,
    restrict: (hint: ReturnType<typeof readCacheControl>) => void,
  ): Promise<Answer | GraphQLError> => {
    const remainingMs = Math.floor(context.dueAtMs - performance.now());
    const endReason = () => (context.signal.aborted ? (context.signal.reason as EndReason) : undefined);
    if (remainingMs < 1 || endReason() !== undefined) return deadlineExceeded();
    if (!pool || path === undefined) {
      logger.error({ subgraph: name }, 'a subgraph has no usable URL');
      return subgraphUnavailable();
    }
    const headers: Record<string, string> = {
      ...(credentials !== undefined && { authorization: credentials }),
      ...context.forwarded,
      'content-type': 'application/json',
      accept: 'application/json, application/graphql-response+json;q=0.9',
      [deadlineHeader]: String(remainingMs),
    };
    if (sign) headers[identityHeader] = sign(context.viewer);
    const body = JSON.stringify({
      query: request.query,
      ...(request.operationName && { operationName: request.operationName }),
      ...(request.variables && { variables: request.variables }),
    });
    let status: number;
    let text: string;
    try {
      const response = await pool.request({ method: 'POST', path, headers, body, signal: context.signal });
      status = response.statusCode;
      text = await response.body.text();
      restrict(readCacheControl(response.headers['cache-control']));
    } catch (error) {
      const ended = endReason();
      if (ended === 'deadline') setState('unreachable', new Error('no answer within the deadline'));
      if (ended !== undefined) return deadlineExceeded();
      setState('unreachable', error);
      logger.warn({ subgraph: name, err: error }, 'a fetch failed');
      return subgraphUnavailable();
    }
    setState('reachable');
    const answer =
      !passesRefusal && (status === 401 || status === 403)
        ? 'it refuses the gateway'
        : readAnswer(text, status, request.variables?.['representations']);
    if (typeof answer !== 'string') return answer;
    logger.error(
      { subgraph: name, status, reason: answer, body: text.slice(0, 500) },
      'an answer is not usable',
    );
    return subgraphUnavailable();
  };

  return {
    state: () => state,
    close: async () => pool?.close(),
    dataSource: {
      process: async (fetch) => {
        if (fetch.kind !== 'incoming operation') throw new Error('a subgraph is only asked for a client');
        const { request, context, incomingRequestContext, pathInIncomingRequest = [] } = fetch;
        const policy = incomingRequestContext.overallCachePolicy as CachePolicy;
        const answer = await ask(request, context, (hint) => policy.restrict(hint));
        const failed = (error: GraphQLError) =>
          context.failures.push({
            path: pathInIncomingRequest,
            fields: missingFields(request.query ?? ''),
            error,
          });
        if (answer instanceof Error) {
          failed(answer);
          return {};
        }
        for (const error of answer.unplaced(name)) failed(error);
        return answer.response;
      },
    },
  };
};
