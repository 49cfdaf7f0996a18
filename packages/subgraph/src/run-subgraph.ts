import type { MigrationSet } from '@cinegraph/database/migrate';
import { readFile } from 'node:fs/promises';
import { ApolloServer, type BaseContext } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { openDatabase } from '@cinegraph/database/pool';
import { isUnavailable } from '@cinegraph/database/store-errors';
import { openBroker } from '@cinegraph/messaging/open-broker';
import { inboxMigrations, outboxMigrations } from '@cinegraph/messaging/migrations';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import { systemClock, type Clock } from '@cinegraph/service/clock';
import { readEnv } from '@cinegraph/service/env';
import { cacheControl } from '@cinegraph/service/http/cache-control';
import { graphqlHandler, statusByMediaType } from '@cinegraph/service/http/graphql';
import { createHttpServer, requestError, type HttpServer } from '@cinegraph/service/http/server';
import { createIdentityReader, identityHeader } from '@cinegraph/service/identity';
import type { Logger } from '@cinegraph/service/logger';
import { StartError } from '@cinegraph/service/start-error';
import { startParts, type Part, type RunningService } from '@cinegraph/service/parts';
import { refusalCode } from '@cinegraph/service/refusal';
import { runService } from '@cinegraph/service/run-service';
import type { Viewer } from '@cinegraph/service/viewer';
import { parse, type GraphQLFieldResolver, type GraphQLScalarType } from 'graphql';
import { createCursorSealer } from './cursors.js';
import type { PublicDocument, SubgraphDefinition } from './definition.js';
import { itemLimit } from './limits/list-size.js';
import { nullGuard } from './limits/null-variables.js';
import { storableTextGuard } from './limits/storable-text.js';
import { maskErrors } from './mask-errors.js';
import { readSubgraphSettings, type SubgraphSettings } from './settings.js';

/** A subgraph that serves requests at `url`. */
export interface RunningSubgraph extends RunningService {
  readonly url: string;
  readonly logger: Logger;
  /** How long a stop may take. */
  readonly drainMs: number;
}

/** The resolvers as `@apollo/subgraph` takes them. Generated types have checked them in the subgraph. */
type ResolverMap = Record<string, GraphQLScalarType | Record<string, GraphQLFieldResolver<unknown, unknown>>>;

/**
 * Runs a subgraph as this process: reads the environment, migrates the database, serves, and drains on a
 * signal. Needs `DATABASE_URL_<NAME>`, `KAFKA_BROKERS` or `DATABASE_URL_EVENTS`, and in production
 * `SUBGRAPH_KEY`. If settings are missing or wrong, it prints all of them in one message and exits with code
 * 1.
 */
export const runSubgraph = <Context extends BaseContext>(
  definition: SubgraphDefinition<Context>,
): Promise<void> =>
  runService({
    start: async () => {
      const settings = readSubgraphSettings(definition.name, process.env, definition.variables);
      return startSubgraph(definition, settings);
    },
  });

/**
 * Starts a subgraph in this process: builds the schema from its SDL, migrates the database, and serves
 * `/graphql` and the health routes on `settings.port`. In production a request without the gateway's
 * signature gets status 401. In other modes an unsigned request is served without a viewer. A wrong
 * signature gets 401 in every mode.
 */
export const startSubgraph = async <Context extends BaseContext>(
  definition: SubgraphDefinition<Context>,
  settings: SubgraphSettings,
): Promise<RunningSubgraph> => {
  const { name } = definition;
  const { mode, logger, subgraphKey, clock = systemClock } = settings;
  const typeDefs = parse(await readFile(definition.schema, 'utf8'));
  const schema = buildSubgraphSchema({ typeDefs, resolvers: definition.resolvers as ResolverMap });

  const database = openDatabase({
    url: settings.databaseUrl,
    name,
    migrations: withOutbox(definition.migrations),
    logger,
  });
  const cursors = createCursorSealer(subgraphKey, name);
  const broker =
    settings.broker &&
    (await openBroker({ clientId: name, topics: definition.topics, logger }, settings.broker));
  const opened = definition.open({
    pool: database.pool,
    broker,
    subgraphKey,
    logger,
    clock,
    cursors,
    variables: (shape) => readEnv(shape, settings.environment ?? {}),
  });

  if (opened.consumers?.length && !definition.migrations.includes(inboxMigrations)) {
    throw new StartError(
      `The subgraph ${name} has consumers, but not the tables that they need. Add inboxMigrations of @cinegraph/messaging/migrations to its migrations.`,
    );
  }

  let migrated = false;
  const http = createHttpServer({
    host: settings.host,
    port: settings.port,
    tls: settings.tls,
    drainGraceMs: settings.drainGraceMs ?? 0,
    logger,
    readiness: async () => {
      const ready = migrated && (await database.answers());
      const stateOf = (answers: boolean) => (answers ? 'answers' : 'unavailable');
      // The broker is reported, but never makes a subgraph unready: its events wait in the outbox.
      const brokerCheck = broker && { broker: stateOf(broker.answers()) };
      return { ready, checks: { database: stateOf(ready), ...brokerCheck } };
    },
  });
  for (const document of opened.documents ?? []) serveDocument(http.app, document, logger);
  const identify = createIdentification(name, settings, clock);
  const viewers = new WeakMap<object, Viewer>();
  const apollo = new ApolloServer<Context>({
    schema,
    introspection: mode !== 'production',
    hideSchemaDetailsFromClientErrors: mode === 'production',
    includeStacktraceInErrorResponses: false,
    persistedQueries: false,
    stopOnTerminationSignals: false,
    formatError: maskErrors(logger, { hidesSchema: mode === 'production' }),
    parseOptions: { maxLexicalTokens: 15_000 },
    logger: logger.child({ part: 'apollo' }),
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      storableTextGuard(),
      nullGuard(),
      itemLimit(),
      statusByMediaType(),
      ...cacheControl('schema'),
    ],
  });
  const graphql: Part = {
    name: 'graphql',
    start: async () => {
      migrated = true;
      await apollo.start();
      http.app.route({
        url: '/graphql',
        method: ['GET', 'POST'],
        // Checked before the body is read, so that a request without a signature costs little.
        onRequest: async (request, reply) => {
          const viewer = identify(request.headers[identityHeader]);
          if (viewer !== 'refused') {
            viewers.set(request, viewer);
            return;
          }
          await reply
            .status(401)
            .send(requestError(refusalCode.unauthenticated, 'This service answers the gateway only.'));
        },
        handler: graphqlHandler(apollo, async (request) => opened.context(viewers.get(request) ?? null)),
      });
    },
    stop: () => apollo.stop(),
  };

  const events = broker && [
    broker.part,
    createOutboxRelay({ pool: database.pool, broker, producer: name, secret: subgraphKey, logger }),
    ...(opened.consumers ?? []),
  ];
  const running = await startParts(
    [database.part, ...(opened.parts ?? []), ...(events ?? []), graphql, http.part],
    logger,
  );
  return {
    url: http.url(),
    logger,
    stop: running.stop,
    drainMs: (settings.drainGraceMs ?? 0) + 10_000,
  };
};

/** Adds the tables of the outbox, whose relay every subgraph with a broker runs, if they are not listed. */
const withOutbox = (migrations: readonly MigrationSet[]): readonly MigrationSet[] =>
  migrations.includes(outboxMigrations) ? migrations : [...migrations, outboxMigrations];

/** Adds the route of a public document. While the store is unavailable, it responds with status 503. */
const serveDocument = (
  app: HttpServer['app'],
  { path, maxAgeSeconds, read }: PublicDocument,
  logger: Logger,
): void => {
  app.get(path, { exposeHeadRoute: true }, async (_request, reply) => {
    try {
      const document = await read();
      return await reply.header('cache-control', `max-age=${maxAgeSeconds}, public`).send(document);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      logger.warn({ err: error, path }, 'the store is unavailable');
      return reply
        .status(503)
        .send(requestError(refusalCode.storeUnavailable, 'The data cannot be reached at the moment.'));
    }
  });
};

/** Returns a function that reads the viewer from the identity header of a request, or returns `'refused'`. */
const createIdentification = (name: string, settings: SubgraphSettings, clock: Clock) => {
  const read =
    settings.subgraphKey === undefined ? undefined : createIdentityReader(settings.subgraphKey, name, clock);
  return (header: string | string[] | undefined): Viewer | 'refused' => {
    if (header === undefined) return settings.mode === 'production' ? 'refused' : null;
    if (read === undefined || typeof header !== 'string') return 'refused';
    const viewer = read(header);
    return viewer === 'invalid' ? 'refused' : viewer;
  };
};
