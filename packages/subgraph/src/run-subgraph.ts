import type { MigrationSet } from '@cinegraph/database/migrate';
import { readFile } from 'node:fs/promises';
import { ApolloServer, type BaseContext } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import { parse, type GraphQLFieldResolver, type GraphQLScalarType } from 'graphql';
import type pg from 'pg';
import type { z } from 'zod';
import { cacheControl } from '@cinegraph/service/http/cache-control';
import type { Broker } from '@cinegraph/messaging/broker';
import { systemClock, type Clock } from '@cinegraph/service/clock';
import { createCursorSealer, type CursorSealer } from './pagination.js';
import { openDatabase } from '@cinegraph/database/pool';
import {
  databaseUrlVariable,
  portVariable,
  readEnv,
  serviceVariables,
  subgraphKeyVariable,
  subgraphVariable,
} from '@cinegraph/service/env';
import type { TopicDefinition } from '@cinegraph/messaging/envelope';
import { refusalCode } from '@cinegraph/service/refusal';
import { maskErrors } from './mask-errors.js';
import { createHttpServer, requestError } from '@cinegraph/service/http/server';
import { itemLimit } from './limits/list-size.js';
import { createLogger, type Logger } from '@cinegraph/service/logger';
import {
  brokerAddressOf,
  brokerVariables,
  openBroker,
  type BrokerAddress,
} from '@cinegraph/messaging/open-broker';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import { runService } from '@cinegraph/service/run-service';
import { startParts, type Part, type RunningService } from '@cinegraph/service/parts';
import { storableTextGuard } from './limits/text-guard.js';
import { createIdentityReader, identityHeader } from '@cinegraph/service/identity';
import type { Viewer } from '@cinegraph/service/viewer';

/** What a subgraph is made of; everything else is the same for all of them. */
export interface SubgraphDefinition<Context extends BaseContext> {
  /** One word, the same string as folder, supergraph.yaml key, database and `service.name`. */
  readonly name: string;
  /** The SDL file that is the contract. */
  readonly schema: URL;
  /** The migrations of its database: its own, and those of the tables for messaging that it uses. */
  readonly migrations: readonly MigrationSet[];
  /** What it publishes to and consumes; made where they are missing. */
  readonly topics: readonly TopicDefinition[];
  /** What it reads of the environment beyond what every subgraph does; `SubgraphTools.variables` gives it. */
  readonly variables?: z.ZodRawShape;
  /** One object a GraphQL type, as generated resolver types check it. */
  readonly resolvers: object;
  /** Builds what lives as long as the process (loaders, commands) and how a request's context is made of it. */
  open(tools: SubgraphTools): OpenSubgraph<Context>;
}

/** What kit hands a subgraph to build with. */
export interface SubgraphTools {
  readonly pool: pg.Pool;
  /** Undefined only in tests: then the outbox fills, and nothing is consumed. */
  readonly broker: Broker | undefined;
  /** The graph's secret, from which producers' keys are derived; undefined never in production. */
  readonly subgraphKey: string | undefined;
  /** Reads the definition's own variables, as `readEnv` does. */
  variables<Shape extends z.ZodRawShape>(shape: Shape): z.output<z.ZodObject<Shape>>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly cursors: CursorSealer;
}

/**
 * An opened subgraph: the context of each request, parts to start behind the database and stop before it, and consumers,
 * which run while those parts and the broker do.
 */
export interface OpenSubgraph<Context extends BaseContext> {
  context(viewer: Viewer): Context;
  readonly parts?: readonly Part[];
  readonly consumers?: readonly Part[];
}

/** Settings of one running subgraph; `main` reads them from the environment, tests give them. */
export interface SubgraphSettings {
  readonly mode: 'development' | 'test' | 'production';
  readonly host: string;
  readonly port: number;
  readonly drainGraceMs?: number;
  readonly databaseUrl: string;
  /** A process always has one; a test may do without. */
  readonly broker?: BrokerAddress | undefined;
  /** The secret shared with the gateway. Without it (never in production) every request is answered as nobody. */
  readonly subgraphKey: string | undefined;
  /** Where the definition's own variables are; none unless told. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** A subgraph that answers at `url`. */
export interface RunningSubgraph extends RunningService {
  readonly url: string;
  readonly logger: Logger;
  /** How long a stop may take. */
  readonly drainMs: number;
}

/** The resolver map as `@apollo/subgraph` takes it; generated types have checked it before. */
type ResolverMap = Record<string, GraphQLScalarType | Record<string, GraphQLFieldResolver<unknown, unknown>>>;

/**
 * Runs a subgraph as this process: reads the environment, migrates, serves, drains on a signal.
 * Needs `DATABASE_URL_<NAME>`, `KAFKA_BROKERS` or `DATABASE_URL_EVENTS`, and in production `SUBGRAPH_KEY`; says every
 * problem in one message and exits with 1.
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

const databaseVariableOf = (name: string) => subgraphVariable('DATABASE_URL_', name);

/** The variables that the subgraph `name`, with these of its `own`, reads; deployment files are checked against it. */
export const subgraphVariables = (name: string, environment: NodeJS.ProcessEnv, own: z.ZodRawShape = {}) => ({
  ...own,
  ...serviceVariables,
  PORT: portVariable.default(0),
  SUBGRAPH_KEY:
    environment['NODE_ENV'] === 'development' || environment['NODE_ENV'] === 'test'
      ? subgraphKeyVariable.optional()
      : subgraphKeyVariable,
  [databaseVariableOf(name)]: databaseUrlVariable,
  ...brokerVariables(environment),
});

/** The settings of the subgraph `name` as its process finds them in the environment. */
export const readSubgraphSettings = (
  name: string,
  environment: NodeJS.ProcessEnv,
  own: z.ZodRawShape = {},
): SubgraphSettings => {
  const env = readEnv(subgraphVariables(name, environment, own), environment);
  return {
    mode: env.NODE_ENV,
    host: env.HOST,
    port: env.PORT,
    drainGraceMs: env.DRAIN_GRACE_MS,
    databaseUrl: String((env as Record<string, unknown>)[databaseVariableOf(name)]),
    broker: brokerAddressOf(env),
    subgraphKey: env.SUBGRAPH_KEY,
    environment,
    logger: createLogger({ name, level: env.LOG_LEVEL }),
  };
};

/**
 * Starts a subgraph in this process: schema from its SDL, database migrated, `/graphql` and health routes on
 * `settings.port`. In production only requests that the gateway signed are answered (401 otherwise); elsewhere an unsigned
 * request is answered as nobody, but a wrong signature never.
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
    migrations: definition.migrations,
    logger,
  });
  const cursors = createCursorSealer(subgraphKey, name);
  const broker =
    settings.broker &&
    (await openBroker({ clientId: name, topics: definition.topics, logger }, settings.broker));
  const opened = definition.open({
    ...{ pool: database.pool, broker, subgraphKey, logger, clock, cursors },
    variables: (shape) => readEnv(shape, settings.environment ?? {}),
  });

  let migrated = false;
  const http = createHttpServer({
    host: settings.host,
    port: settings.port,
    drainGraceMs: settings.drainGraceMs ?? 0,
    logger,
    readiness: async () => {
      const answers = migrated && (await database.answers());
      // The broker is told, and never makes it unready: what it is to get waits in the outbox.
      const told = broker && { broker: broker.answers() ? 'answers' : 'away' };
      return { ready: answers, checks: { database: answers ? 'answers' : 'away', ...told } };
    },
  });
  const identify = createIdentification(name, settings, clock);
  const viewers = new WeakMap<object, Viewer>();
  const apollo = new ApolloServer<Context>({
    schema,
    introspection: mode !== 'production',
    hideSchemaDetailsFromClientErrors: mode === 'production',
    includeStacktraceInErrorResponses: false,
    persistedQueries: false,
    stopOnTerminationSignals: false,
    formatError: maskErrors(logger),
    parseOptions: { maxLexicalTokens: 15_000 },
    logger: logger.child({ part: 'apollo' }),
    plugins: [ApolloServerPluginLandingPageDisabled(), storableTextGuard(), itemLimit(), ...cacheControl()],
  });
  const graphql: Part = {
    name: 'graphql',
    start: async () => {
      migrated = true;
      await apollo.start();
      http.app.route({
        url: '/graphql',
        method: ['GET', 'POST'],
        // Before the body is read: a stranger costs no more than a header.
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
        handler: fastifyApolloHandler(apollo, {
          context: async (request) => opened.context(viewers.get(request) ?? null),
        }),
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

/** Who a request comes from, by its identity header, or `'refused'`. */
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
