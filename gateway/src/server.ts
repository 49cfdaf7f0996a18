import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloServerPluginLandingPageLocalDefault } from '@apollo/server/plugin/landingPage/default';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import { cacheControl } from '@cinegraph/service/http/cache-control';
import { systemClock } from '@cinegraph/service/clock';
import { createHttpServer, requestError } from '@cinegraph/service/http/server';
import type { Logger } from '@cinegraph/service/logger';
import { startParts, type Part, type RunningService } from '@cinegraph/service/parts';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import { developmentViewerHeader } from '@cinegraph/service/viewer';
import cors from '@fastify/cors';
import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { addCompression } from './compression.js';
import { type Config, subgraphUrlVariable } from './config.js';
import { maskErrors } from './errors.js';
import { loadSupergraph } from './execution/executor.js';
import { createClientSet } from './fetching/clients.js';
import { addGraphiql } from './graphiql.js';
import { beginRequest, dependsOnClient, type RequestContext } from './request.js';
import { revalidated } from './revalidation.js';
import { createSupergraphGateway } from './supergraph.js';

/** A document of more tokens is refused while it is parsed; generated operations of large pages stay below 5,000. */
const maxTokens = 15_000;
/** How long a stop waits for requests under way, beyond the deadline that each of them has. */
const drainMarginMs = 5_000;
/** So many faults of an operation are told at once. */
const maxValidationErrors = 20;

/** Apollo's explorer and anything on this machine: whom a gateway outside production lets read its answers. */
const developmentOrigins = [
  'https://studio.apollographql.com',
  /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/,
];

/**
 * Starts the gateway. A request meets in this order: HTTP limits and CORS, CSRF prevention, who is asking and until
 * when, parsing within limits, validation, the plan, the fetches, the mask of errors; its answer, for how long it may
 * be kept, by whom, and its compression. Throws a StartError when the supergraph cannot be served. Stopping finishes
 * the requests under way.
 */
export const startGateway = async (
  config: Config,
  logger: Logger,
): Promise<RunningService & { url: string; logger: Logger; drainMs: number }> => {
  const inProduction = config.environment === 'production';
  // Telemetry writes these for the span of each fetch; a client's beside them would cut the trace in two.
  const written: readonly string[] = tracing()?.headers ?? [];
  const forwardHeaders = config.forwardHeaders.filter((name) => !written.includes(name));
  const clients = createClientSet({
    logger,
    clock: systemClock,
    subgraphKey: config.subgraphKey,
    forwardsHeaders: forwardHeaders.length > 0,
  });
  const supergraph = createSupergraphGateway({
    path: config.supergraphPath,
    logger,
    load: async (sdl, replaces) => {
      const opened = new Map<string, { url: string; client: ReturnType<typeof clients.open> }>();
      const loaded = await loadSupergraph({
        sdl,
        logger,
        // At the start there is nothing better to keep, and readiness is waited for.
        validate: replaces,
        dataSource: ({ name, url: routingUrl }) => {
          const url = config.subgraphUrls.get(subgraphUrlVariable(name)) ?? routingUrl;
          const client = clients.open(name, url);
          opened.set(name, { url, client });
          return client.dataSource;
        },
      });
      const known = new Set(loaded.subgraphs.map(subgraphUrlVariable));
      for (const variable of config.subgraphUrls.keys()) {
        if (!known.has(variable)) logger.warn({ variable }, 'the supergraph has no subgraph of this name');
      }
      clients.serve(opened);
      return loaded;
    },
  });
  const apollo = new ApolloServer<RequestContext>({
    gateway: supergraph.gateway,
    nodeEnv: config.environment,
    logger: logger.child({}, { level: 'warn' }),
    stopOnTerminationSignals: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    introspection: !inProduction,
    hideSchemaDetailsFromClientErrors: inProduction,
    includeStacktraceInErrorResponses: false,
    maxRecursiveSelections: true,
    parseOptions: { maxLexicalTokens: maxTokens },
    validationOptions: { maxErrors: maxValidationErrors },
    cache: 'bounded',
    documentStore: createDocumentStore(),
    formatError: maskErrors({
      schemaCodes: () => supergraph.current()?.errorCodes ?? new Set(),
      logger,
    }),
    stringifyResult: (result) => JSON.stringify(result),
    plugins: [
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ...cacheControl(dependsOnClient),
      config.environment === 'development'
        ? ApolloServerPluginLandingPageLocalDefault()
        : ApolloServerPluginLandingPageDisabled(),
    ],
  });
  const http = createHttpServer({
    host: config.host,
    port: config.port,
    drainGraceMs: config.drainGraceMs,
    logger,
    readiness: async () => ({ ready: supergraph.current() !== undefined, checks: clients.states() }),
  });
  const graph: Part = {
    name: 'graph',
    start: async () => {
      await apollo.start();
      const { app } = http;
      await app.register(cors, {
        origin: [...config.corsOrigins, ...(inProduction ? [] : developmentOrigins)],
        methods: ['GET', 'POST'],
        maxAge: 3_600,
      });
      addCompression(app);
      const handle = fastifyApolloHandler(apollo, {
        context: async (request, reply) => {
          const { context, end } = beginRequest({
            headers: request.headers,
            developmentViewers: !inProduction,
            forwardHeaders,
            deadlineMs: config.deadlineMs,
          });
          reply.raw.once('close', () => end(reply.raw.writableFinished));
          return context;
        },
      });
      app.route({
        method: ['GET', 'POST'],
        url: '/graphql',
        handler: revalidated(
          async (request, reply) => handle.call(app, request, reply),
          [...(inProduction ? [] : [developmentViewerHeader]), ...forwardHeaders],
        ),
      });
      app.route({
        method: ['DELETE', 'HEAD', 'PATCH', 'PUT', 'TRACE'],
        url: '/graphql',
        handler: async (_request, reply) =>
          reply
            .status(405)
            .header('allow', 'GET, POST, OPTIONS')
            .send(requestError('BAD_REQUEST', 'Send operations by POST, or queries by GET.')),
      });
      if (config.environment === 'development') addGraphiql(app);
    },
    stop: () => apollo.stop(),
  };
  const connections: Part = {
    name: 'subgraph connections',
    start: async () => undefined,
    stop: clients.close,
  };
  const running = await startParts([connections, graph, http.part], logger);
  return {
    ...running,
    url: http.url(),
    logger,
    drainMs: config.drainGraceMs + config.deadlineMs + drainMarginMs,
  };
};

/** How much source text the remembered documents may have together, in characters; parsed, it takes many times as much. */
const documentStoreSize = 500_000;

/** Parsed and validated documents by their hash: those asked for last, so that memory does not grow with their number. */
const createDocumentStore = () => {
  const documents = new LRUCache<string, DocumentNode>({
    maxSize: documentStoreSize,
    sizeCalculation: ({ loc }) => loc?.source.body.length ?? documentStoreSize,
  });
  return {
    get: async (key: string) => documents.get(key),
    set: async (key: string, document: DocumentNode) => {
      documents.set(key, document);
    },
    delete: async (key: string) => documents.delete(key),
  };
};
