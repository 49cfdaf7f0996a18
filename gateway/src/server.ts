import { systemClock } from '@cinegraph/service/clock';
import { createHttpServer } from '@cinegraph/service/http/server';
import type { Logger } from '@cinegraph/service/logger';
import { startParts, type Part, type RunningService } from '@cinegraph/service/parts';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import { createApolloServer } from './apollo.js';
import type { Config } from './config.js';
import { createClientSet } from './fetching/clients.js';
import { createConnect } from './fetching/tls.js';
import { addRoutes } from './http/routes.js';
import { createAuthentication } from './request/authentication.js';
import { createBudget } from './request/budget.js';
import { createLocalStore, type BudgetStore } from './request/budget-store.js';
import { createCurrentSupergraph } from './supergraph/current.js';
import { loadSupergraph } from './supergraph/load.js';

/** How long a stop waits for requests under way, beyond the deadline that each of them has. */
const drainMarginMs = 5_000;

/**
 * Starts the gateway. A request passes, in this order: HTTP limits and CORS, CSRF prevention, access token
 * and deadline, parsing within limits, validation, budgets, planning, fetches, error masking; its response
 * passes `Cache-Control`, entity tag and compression. Throws a StartError if the supergraph cannot be served.
 * Stopping waits for the requests under way.
 */
export const startGateway = async (
  config: Config,
  logger: Logger,
): Promise<RunningService & { url: string; logger: Logger; drainMs: number }> => {
  // Tracing writes these headers for the span of each fetch; a client's value beside them would split the
  // trace.
  const traceHeaders: readonly string[] = tracing()?.headers ?? [];
  const isForwarded = (name: string): boolean => !traceHeaders.includes(name);
  const forwardHeaders = config.forwardHeaders.filter(isForwarded);
  const certificates = createConnect(config.subgraphTls, logger);
  const clients = createClientSet({
    connect: certificates.connect,
    logger,
    clock: systemClock,
    subgraphKey: config.subgraphKey,
    forwardHeadersOf: (subgraph) => config.forwardHeadersOf(subgraph).filter(isForwarded),
    coalesces: config.coalesces,
    returnHeaders: config.returnHeaders,
  });
  const supergraph = createCurrentSupergraph({
    path: config.supergraphPath,
    logger,
    load: (sdl, validate, replaces) =>
      loadSupergraph({ sdl, validate, replaces, clients, settings: config, logger }),
    retireAfterMs: config.deadlineMs + drainMarginMs,
  });
  const localBudgets = createLocalStore();
  const redis = await openRedis(config, localBudgets, logger);
  const openAccount = createBudget(config.budgets, redis ?? localBudgets);
  const apollo = createApolloServer(config, supergraph, logger);
  const authenticate = createAuthentication({
    issuers: config.jwtIssuers,
    passesUnread: config.jwtIssuers.length === 0 && forwardHeaders.includes('authorization'),
    clock: systemClock,
    logger,
  });
  const http = createHttpServer({
    host: config.host,
    port: config.port,
    tls: config.tls,
    drainGraceMs: config.drainGraceMs,
    trustedProxies: config.trustedProxies,
    logger,
    readiness: async () => ({ ready: supergraph.get() !== undefined, checks: clients.states() }),
  });
  const connections: Part = {
    name: 'subgraph connections',
    start: async () => undefined,
    stop: clients.close,
  };
  const graph: Part = {
    name: 'graph',
    start: async () => {
      await apollo.start().catch(async (error: unknown) => {
        await supergraph.stop();
        throw error;
      });
      const schema = () => supergraph.get()?.schema;
      const settings = { ...config, forwardHeaders };
      await addRoutes(http.app, apollo, { authenticate, openAccount }, settings, schema);
    },
    stop: () => apollo.stop(),
  };
  const budgets = redis ? [redis.part] : [];
  const running = await startParts([certificates.part, ...budgets, connections, graph, http.part], logger);
  return {
    ...running,
    url: http.url(),
    logger,
    drainMs: config.drainGraceMs + config.deadlineMs + drainMarginMs,
  };
};

/** Opens the store of budgets in Redis. Its client takes 18 MiB, so it is loaded only if there is one. */
const openRedis = async ({ redisUrl: url }: Config, local: BudgetStore, logger: Logger) => {
  if (url === undefined) return undefined;
  const { createRedisStore } = await import('./request/budget-redis.js');
  return createRedisStore({ url, local, logger });
};
