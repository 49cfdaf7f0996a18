import { incomingRatings } from '@cinegraph/events/topics';
import type { Broker, OutgoingMessage } from '@cinegraph/messaging/broker';
import { openBroker, type BrokerAddress } from '@cinegraph/messaging/open-broker';
import { testDatabase, testPool } from '@cinegraph/testing/database';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { kafkaMissing, startTestKafka } from '@cinegraph/testing/kafka';
import { askGraphQL, testSubgraphKey, type GraphQLAnswer } from '@cinegraph/testing/subgraph';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { systemClock } from '@cinegraph/service/clock';
import { rating } from '@cinegraph/rating/subgraph';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { brokerMigrations } from '@cinegraph/messaging/migrations';
import {
  runFile,
  runService,
  type EndedProcess,
  type RunningProcess,
  type ServiceProcess,
} from '../support/service-process.js';

/** The kinds of brokers that are available on this machine. */
export const brokerKinds: readonly ('postgres' | 'kafka')[] =
  kafkaMissing() === undefined ? ['postgres', 'kafka'] : ['postgres'];

/** Processes of rating on a real database and a real broker, and the test's access to both. */
export interface FaultWorld {
  readonly address: BrokerAddress;
  /** The test's client of the broker. */
  readonly broker: Broker;
  /** The Kafka server, if the broker is Kafka and was started by this world. */
  readonly kafka: KafkaServer | undefined;
  readonly databaseUrl: string;
  /** A pool for the test's queries of rating's tables. */
  readonly pool: ReturnType<typeof testPool>;
  /** Starts one more rating process. Processes that still run at the end are killed. */
  startRating(env?: Readonly<Record<string, string>>): ServiceProcess;
  /** Starts a metadata process on that database, like `startRating`. */
  startMetadata(databaseUrl: string): ServiceProcess;
  /**
   * Starts a process with only the consumer of ratings, which is ready sooner; otherwise like `startRating`.
   */
  startIngest(): RunningProcess;
  /** Sends a mutation as the gateway does. Rejects if the connection breaks. */
  ask(
    url: string,
    query: string,
    variables: Record<string, unknown>,
    viewer: string,
    subgraph?: 'rating' | 'metadata',
  ): Promise<GraphQLAnswer>;
  /** Publishes the messages in pieces. Resolves when all are acknowledged. */
  publish(messages: readonly OutgoingMessage[]): Promise<void>;
  /** Waits until everything on the topic `ratings` is consumed and the outbox is empty. */
  settled(withinMs?: number): Promise<void>;
  /** Runs `main` or `events` of rating's command line as a process, with these options of Node. */
  runCommand(
    entry: 'main' | 'events',
    args: readonly string[],
    nodeOptions?: readonly string[],
  ): Promise<EndedProcess>;
  /** Restarts the broker without its data: topics, messages and groups. */
  loseLog(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a world with that kind of broker; the test starts rating. `databaseUrl`, `logUrl` (of the broker in
 * PostgreSQL) and `kafkaBrokers` replace databases and a Kafka of its own.
 */
export const startFaultWorld = async (options: {
  readonly broker: 'postgres' | 'kafka';
  readonly databaseUrl?: string;
  readonly logUrl?: string;
  readonly kafkaBrokers?: readonly string[];
}): Promise<FaultWorld> => {
  const closing: (() => Promise<unknown>)[] = [];
  const { kafkaBrokers } = options;
  const kafka = options.broker === 'kafka' && !kafkaBrokers ? await startTestKafka() : undefined;
  if (kafka) closing.push(() => kafka.stop());
  let address: BrokerAddress;
  if (kafkaBrokers) address = { kafka: kafkaBrokers };
  else if (kafka) address = { kafka: kafka.brokers };
  else if (options.logUrl !== undefined) address = { url: options.logUrl };
  else {
    const log = await testDatabase({
      name: 'events',
      migrations: [brokerMigrations],
    });
    closing.push(() => log.drop());
    address = { url: log.url };
  }
  let { databaseUrl } = options;
  if (databaseUrl === undefined) {
    const database = await testDatabase({ name: 'rating', migrations: rating.migrations });
    closing.push(() => database.drop());
    databaseUrl = database.url;
  }
  const pool = testPool(databaseUrl);
  closing.push(() => pool.end());
  const broker = await openBroker(
    {
      clientId: 'fault-tests',
      topics: rating.topics,
      logger: silentLogger,
    },
    address,
  );
  await broker.part.start();
  closing.push(() => broker.part.stop());
  const processes = new Set<RunningProcess>();
  const kept = <Process extends RunningProcess>(process: Process): Process => {
    processes.add(process);
    void process.ended.then(() => processes.delete(process));
    return process;
  };
  const signers = {
    rating: createIdentitySigner(testSubgraphKey, 'rating', systemClock),
    metadata: createIdentitySigner(testSubgraphKey, 'metadata', systemClock),
  };
  const environment: Record<string, string> = {
    NODE_ENV: 'test',
    LOG_LEVEL: 'info',
    SUBGRAPH_KEY: testSubgraphKey,
    DATABASE_URL_RATING: databaseUrl,
    INGEST_SCALE: '10',
    ...('kafka' in address
      ? { KAFKA_BROKERS: address.kafka.join(',') }
      : { DATABASE_URL_EVENTS: address.url }),
  };
  return {
    address,
    broker,
    kafka,
    databaseUrl,
    pool,
    startRating: (env = {}) => kept(runService('subgraphs/rating', { ...environment, ...env })),
    startMetadata: (url) =>
      kept(runService('subgraphs/metadata', { ...environment, DATABASE_URL_METADATA: url })),
    startIngest: () =>
      kept(
        runFile('tests/faults/ingest-process.mjs', {
          args: [JSON.stringify({ databaseUrl, address, secret: testSubgraphKey })],
          env: environment,
        }),
      ),
    ask: (url, query, variables, viewer, subgraph = 'rating') =>
      askGraphQL(
        `${url}/graphql`,
        { query, variables },
        { [identityHeader]: signers[subgraph]({ id: viewer, scopes: ['catalogue:write'] }) },
      ),
    publish: async (messages) => {
      for (let at = 0; at < messages.length; at += 1_000)
        await broker.publish(messages.slice(at, at + 1_000));
    },
    settled: async (withinMs = 60_000) => {
      await until(
        async () => {
          // This fails while the broker is unavailable.
          const positions = await broker
            .positions('rating.ingest', [incomingRatings.name])
            .catch(() => undefined);
          return positions?.every(({ committed, end }) => end === 0n || committed === end) ?? false;
        },
        'everything published is consumed',
        withinMs,
      );
      await until(
        async () => {
          const { rowCount } = await pool.query(
            'SELECT FROM messaging.outbox WHERE published_at IS NULL LIMIT 1',
          );
          return rowCount === 0;
        },
        'everything recorded is published',
        withinMs,
      );
    },
    runCommand: (entry, args, nodeOptions = []) =>
      runFile(`subgraphs/rating/dist/command-line/${entry}.js`, { args, nodeOptions, env: environment })
        .ended,
    loseLog: async () => {
      if (kafka) {
        await kafka.kill();
        await kafka.restart({ emptied: true });
      } else if ('url' in address) {
        const log = testPool(address.url);
        await log.query(
          'TRUNCATE messaging.topic, messaging.partition_end, messaging.message, messaging.group_position',
        );
        await log.end();
      }
    },
    stop: async () => {
      for (const service of processes) service.signal('SIGKILL');
      await Promise.all([...processes].map(({ ended }) => ended));
      for (const close of closing.reverse()) await close();
    },
  };
};

/** Kills a process as a crash does, and waits until it is gone. */
export const crash = async (service: RunningProcess): Promise<void> => {
  service.signal('SIGKILL');
  await service.ended;
};

/** Count and sum of the ratings by movie id, with which every fault test compares the tables. */
export type Totals = ReadonlyMap<string, { readonly count: number; readonly sum: number }>;

/** Computes the totals of ratings. The last one of a viewer and movie counts; null retracts it. */
export const totalsOf = (
  ratings: Iterable<{ readonly movieId: string; readonly viewerId: string; readonly score: number | null }>,
): Totals => {
  const last = new Map<string, { movieId: string; score: number | null }>();
  for (const { movieId, viewerId, score } of ratings) last.set(`${movieId}\n${viewerId}`, { movieId, score });
  const totals = new Map<string, { count: number; sum: number }>();
  for (const { movieId, score } of last.values()) {
    if (score === null) continue;
    const total = totals.get(movieId) ?? { count: 0, sum: 0 };
    totals.set(movieId, { count: total.count + 1, sum: total.sum + score });
  }
  return totals;
};

/** Reads the totals of the aggregates, without movies that have no ratings. */
export const storedTotals = async (pool: FaultWorld['pool']): Promise<Totals> => {
  const { rows } = await pool.query<{ id: string; count: number; sum: number }>(
    'SELECT movie_id AS id, count::float8, sum::float8 FROM aggregated_rating WHERE count > 0',
  );
  return new Map(rows.map(({ id, count, sum }) => [id, { count, sum }]));
};

/** Returns how many ratings are missing, and how many are counted twice, over all movies. */
export const differenceOf = (expected: Totals, stored: Totals) => {
  let lost = 0;
  let double = 0;
  for (const id of new Set([...expected.keys(), ...stored.keys()])) {
    const difference = (stored.get(id)?.count ?? 0) - (expected.get(id)?.count ?? 0);
    if (difference < 0) lost -= difference;
    else double += difference;
  }
  return { lost, double };
};
