import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Admin } from 'kafkajs';
import type { Logger } from '@cinegraph/service/logger';
import { within } from '@cinegraph/service/timing';
import { partitionsPerTopic, type GroupPosition, type RecordPosition } from '../broker.js';
import type { TopicDefinition } from '../envelope.js';
import { openKafkaClient, type KafkaClient, type KafkaClientOptions } from './client.js';

/** Administrative requests to the cluster; each rejects if it gets no response within 15 seconds. */
export interface KafkaTopics {
  /**
   * Creates those of the topics that are missing, and returns the number of partitions of each. The result is
   * cached until `forget`. Throws if a topic is not among the definitions.
   */
  readonly ensure: (names: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** Clears what is cached: the cluster may have lost its topics. */
  readonly forget: () => void;
  /**
   * Returns the session timeout for members of a group: two seconds, or the minimum that the cluster allows
   * if that is more. The result is cached until `forget`.
   */
  readonly sessionMs: () => Promise<number>;
  readonly endOffsets: (names: readonly string[]) => Promise<ReadonlyMap<string, readonly RecordPosition[]>>;
  readonly positions: (group: string, names: readonly string[]) => Promise<readonly GroupPosition[]>;
  readonly stop: () => Promise<void>;
}

/** The largest message of a topic whose definition sets no limit. */
export const defaultMaxMessageBytes = 1_048_576;

/** The size of a record batch beyond that of its messages. */
const framingBytes = 4_096;
/** Our own Kafka allows this. If it were shorter, members on a busy machine would lose their partitions. */
const shortSessionMs = 2_000;
/** The default of `group.min.session.timeout.ms`. */
const defaultMinSessionMs = 6_000;
const weekMs = String(7 * 24 * 60 * 60 * 1_000);
const responseTimeoutMs = 15_000;

/** Opens the administrative client, which connects at first use. It may create `topics` and no others. */
export const openKafkaTopics = (
  options: KafkaClientOptions & { readonly topics: readonly TopicDefinition[] },
): KafkaTopics => {
  const { logger } = options;
  const admin = openAdmin(options);
  const definitions = new Map(options.topics.map((topic) => [topic.name, topic]));
  const partitionCounts = new Map<string, number>();
  let sessionMs: number | undefined;
  let ensured: Promise<unknown> = Promise.resolve();

  const ensureNow = async (names: readonly string[]): Promise<ReadonlyMap<string, number>> => {
    const unknown = [...new Set(names)].filter((name) => !partitionCounts.has(name));
    for (const name of unknown) {
      if (!definitions.has(name)) throw new Error(`the topic ${name} is not defined for this process`);
    }
    if (unknown.length === 0) return partitionCounts;
    await admin.request('creating topics', async (client) => {
      const existing = await existingTopics(client, unknown);
      const missing = unknown.filter((name) => !existing.includes(name));
      if (missing.length > 0) {
        const replicas = await createTopics(client, missing, definitions);
        logger.info({ topics: missing, replicas }, 'topics created');
      }
      if (existing.length > 0) await warnOfProducerTimestamps(client, existing, logger);
      const { topics } = await untilPropagated(() => client.fetchTopicMetadata({ topics: unknown }));
      for (const { name, partitions } of topics) partitionCounts.set(name, partitions.length);
    });
    return partitionCounts;
  };

  return {
    // One after the other: if two calls created the same topic, one would find it before it is ready.
    ensure: (names) => {
      const result = ensured.then(() => ensureNow(names));
      ensured = result.catch(() => undefined);
      return result;
    },
    forget: () => {
      partitionCounts.clear();
      sessionMs = undefined;
    },
    sessionMs: async () =>
      (sessionMs ??= await admin.request('reading the minimum session timeout', shortestSessionMs)),
    endOffsets: (names) =>
      admin.request('reading the end offsets', async (client) => {
        const existing = await existingTopics(client, names);
        const entries = existing.map(async (name) => [name, await topicEndOffsets(client, name)] as const);
        return new Map(await Promise.all(entries));
      }),
    positions: (group, names) =>
      admin.request('reading the positions of a group', async (client) =>
        groupPositions(client, group, await existingTopics(client, names)),
      ),
    stop: admin.stop,
  };
};

/** Keeps one admin connection while its requests succeed, and opens another one after a failure. */
const openAdmin = (options: KafkaClientOptions) => {
  const { connectionState } = options;
  let opened: { client: KafkaClient; admin: Promise<Admin> } | undefined;

  const open = () => {
    const client = openKafkaClient(options);
    const admin = client.kafka.admin();
    return { client, admin: admin.connect().then(() => admin) };
  };

  return {
    /** Runs `send` on the connection. `what` names the request in the error of a time-out. */
    request: async <Result>(what: string, send: (admin: Admin) => Promise<Result>): Promise<Result> => {
      const current = (opened ??= open());
      try {
        const result = await within(responseTimeoutMs, what, current.admin.then(send));
        connectionState.markAvailable();
        return result;
      } catch (error) {
        connectionState.markUnavailable();
        current.client.abandon();
        if (opened === current) opened = undefined;
        throw connectionState.explain(error);
      }
    },
    stop: async (): Promise<void> => {
      const closing = opened;
      opened = undefined;
      if (!closing) return;
      const disconnected = closing.admin.then((admin) => admin.disconnect());
      await within(2_000, 'disconnecting', disconnected).catch(() => undefined);
      closing.client.abandon();
    },
  };
};

const existingTopics = async (admin: Admin, names: readonly string[]): Promise<readonly string[]> => {
  const all = new Set(await admin.listTopics());
  return [...new Set(names)].filter((name) => all.has(name));
};

/** Creates the topics and returns their number of replicas. */
const createTopics = async (
  admin: Admin,
  names: readonly string[],
  definitions: ReadonlyMap<string, TopicDefinition>,
): Promise<number> => {
  const { brokers } = await admin.describeCluster();
  const replicas = Math.min(3, brokers.length);
  await admin.createTopics({
    waitForLeaders: true,
    topics: names.map((topic) => ({
      topic,
      numPartitions: partitionsPerTopic,
      replicationFactor: replicas,
      configEntries: topicSettings(definitions.get(topic), replicas),
    })),
  });
  return replicas;
};

/**
 * Returns the settings of a topic. A compacted topic uses "compact" alone: with "compact,delete", the newest
 * message of a key would be deleted after a week as well. Superseded messages and tombstones are kept for a
 * week, so that a consumer that was stopped sees each of them.
 */
const topicSettings = (definition: TopicDefinition | undefined, replicas: number) =>
  Object.entries({
    'message.timestamp.type': 'LogAppendTime',
    // The broker inflates what producers compress, and applies max.message.bytes to the result.
    'compression.type': 'uncompressed',
    'max.message.bytes': String((definition?.maxMessageBytes ?? defaultMaxMessageBytes) + framingBytes),
    'min.insync.replicas': replicas === 3 ? '2' : '1',
    ...(definition?.retention === 'compact'
      ? { 'cleanup.policy': 'compact', 'min.compaction.lag.ms': weekMs, 'delete.retention.ms': weekMs }
      : { 'cleanup.policy': 'delete', 'retention.ms': weekMs }),
  }).map(([name, value]) => ({ name, value }));

/** Existing topics keep their settings. `appendedAt` is only the append time with LogAppendTime. */
const warnOfProducerTimestamps = async (
  admin: Admin,
  names: readonly string[],
  logger: Logger,
): Promise<void> => {
  const setting = 'message.timestamp.type';
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({ type, name, configNames: [setting] })),
  });
  for (const { resourceName: topic, configEntries } of resources) {
    const entry = configEntries.find(({ configName }) => configName === setting);
    if (entry?.configValue === 'LogAppendTime') continue;
    logger.warn(
      { topic },
      'the topic keeps the timestamps of its producers: set message.timestamp.type=LogAppendTime on it',
    );
  }
};

const topicEndOffsets = async (admin: Admin, name: string): Promise<readonly RecordPosition[]> => {
  const offsets = await untilPropagated(() => admin.fetchTopicOffsets(name));
  return offsets
    .map(({ partition, high }) => ({ partition, offset: BigInt(high) }))
    .sort((one, other) => one.partition - other.partition);
};

/** Reads the committed offsets before the end offsets, so that no group appears to be beyond the end. */
const groupPositions = async (
  admin: Admin,
  group: string,
  topics: readonly string[],
): Promise<readonly GroupPosition[]> => {
  if (topics.length === 0) return [];
  const committed = await untilPropagated(() => admin.fetchOffsets({ groupId: group, topics: [...topics] }));
  const positions = await Promise.all(
    topics.map(async (topic) => {
      const partitions = committed.find((entry) => entry.topic === topic)?.partitions ?? [];
      const offsets = new Map(partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
      return (await topicEndOffsets(admin, topic)).map(({ partition, offset: end }) => {
        const offset = offsets.get(partition) ?? -1n;
        return { topic, partition, committed: offset < 0n ? null : offset, end };
      });
    }),
  );
  return positions.flat();
};

const minSessionSetting = 'group.min.session.timeout.ms';

/** A client that may not read a broker's settings gets the default minimum. */
const shortestSessionMs = async (admin: Admin): Promise<number> => {
  const { brokers } = await admin.describeCluster();
  const type = kafkajs.ConfigResourceTypes.BROKER;
  const { resources } = await admin
    .describeConfigs({
      includeSynonyms: false,
      resources: brokers.map(({ nodeId }) => ({
        type,
        name: String(nodeId),
        configNames: [minSessionSetting],
      })),
    })
    .catch(() => ({ resources: [] }));
  const minimums = resources
    .flatMap(({ configEntries }) => configEntries)
    .filter(({ configName }) => configName === minSessionSetting)
    .map(({ configValue }) => Number(configValue));
  return minimums.length === 0 ? defaultMinSessionMs : Math.max(shortSessionMs, ...minimums);
};

/** The errors of a broker that does not yet know a new topic or the coordinator of a group. */
const propagationErrors: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  // The name of the error that kafkajs throws when its own retries have not found a coordinator.
  'KafkaJSGroupCoordinatorNotFound',
]);

/** Repeats the request while it fails with a propagation error, for half of the response time-out. */
const untilPropagated = async <Result>(request: () => Promise<Result>): Promise<Result> => {
  const end = performance.now() + responseTimeoutMs / 2;
  for (;;) {
    try {
      return await request();
    } catch (error) {
      const { type = '', name = '' } = error as { type?: string; name?: string };
      const isPropagating = propagationErrors.has(type) || propagationErrors.has(name);
      if (!isPropagating || performance.now() > end) throw error;
      await delay(100);
    }
  }
};
