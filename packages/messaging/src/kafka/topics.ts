import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Admin } from 'kafkajs';
import { partitionsPerTopic, type GroupPosition, type RecordPosition } from '../broker.js';
import type { TopicDefinition } from '../envelope.js';
import { openKafkaClient, type KafkaClient, type KafkaClientOptions } from './client.js';
import { within } from '@cinegraph/service/timing';

/** What is asked of the cluster beside producing and consuming. */
export interface KafkaTopics {
  /**
   * Creates those of the topics that are missing; answers how many partitions each has. Asked again only after `forget`.
   * Throws when one is not among the definitions, and when the cluster does not answer within 15 seconds.
   */
  readonly ensure: (names: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** The cluster may have lost its topics. */
  readonly forget: () => void;
  /**
   * How long a member of a group may be silent before its partitions are another's: two seconds, or the least that the
   * cluster allows where that is more. Asked again only after `forget`.
   */
  readonly sessionMs: () => Promise<number>;
  readonly endOffsets: (names: readonly string[]) => Promise<ReadonlyMap<string, readonly RecordPosition[]>>;
  readonly positions: (group: string, names: readonly string[]) => Promise<readonly GroupPosition[]>;
  readonly stop: () => Promise<void>;
}

export const defaultMaxMessageBytes = 1_048_576;

/** What a batch of records is larger than its messages. */
const framingBytes = 4_096;
/** What is asked for; a Kafka of ours allows it. Shorter, and a busy machine would cost members their partitions. */
const shortSessionMs = 2_000;
/** The least that a broker allows unless it was told otherwise. */
const usualSessionMs = 6_000;
const week = String(7 * 24 * 60 * 60 * 1_000);
const answerMs = 15_000;

export const openKafkaTopics = (
  options: KafkaClientOptions & { readonly topics: readonly TopicDefinition[] },
): KafkaTopics => {
  const { presence, logger } = options;
  const definitions = new Map(options.topics.map((topic) => [topic.name, topic]));
  const known = new Map<string, number>();
  let session: number | undefined;
  let opened: { client: KafkaClient; admin: Promise<Admin> } | undefined;

  /** One connection, used while it works. */
  const ask = async <Answer>(what: string, question: (admin: Admin) => Promise<Answer>): Promise<Answer> => {
    const using = (opened ??= open());
    try {
      const answer = await within(answerMs, what, using.admin.then(question));
      presence.met();
      return answer;
    } catch (error) {
      presence.missed();
      using.client.abandon();
      if (opened === using) opened = undefined;
      throw presence.explained(error);
    }
  };

  const open = () => {
    const client = openKafkaClient(options);
    const admin = client.kafka.admin();
    return { client, admin: admin.connect().then(() => admin) };
  };

  const existing = async (admin: Admin, names: readonly string[]): Promise<readonly string[]> => {
    const all = new Set(await admin.listTopics());
    return [...new Set(names)].filter((name) => all.has(name));
  };

  /** One after the other: of two that create the same topic, one would learn that it is there before it is. */
  const ensure = (names: readonly string[]) => {
    const result = ensured.then(() => ensureNow(names));
    ensured = result.catch(() => undefined);
    return result;
  };
  let ensured: Promise<unknown> = Promise.resolve();

  const ensureNow = async (names: readonly string[]) => {
    const unknown = [...new Set(names)].filter((name) => !known.has(name));
    for (const name of unknown) {
      if (!definitions.has(name)) throw new Error(`the topic ${name} is not among those of this process`);
    }
    if (unknown.length === 0) return known;
    await ask('making topics', async (admin) => {
      const there = new Set(await existing(admin, unknown));
      const missing = unknown.filter((name) => !there.has(name));
      if (missing.length > 0) await create(admin, missing);
      if (there.size > 0) await warnOfExternalSettings(admin, [...there]);
      for (const { name, partitions } of await described(admin, unknown)) {
        known.set(name, partitions.length);
      }
    });
    return known;
  };

  const create = async (admin: Admin, missing: readonly string[]) => {
    const { brokers } = await admin.describeCluster();
    const replicas = Math.min(3, brokers.length);
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map((name) => ({
        topic: name,
        numPartitions: partitionsPerTopic,
        replicationFactor: replicas,
        configEntries: Object.entries(settingsOf(definitions.get(name), replicas)).map(
          ([setting, value]) => ({
            name: setting,
            value,
          }),
        ),
      })),
    });
    logger.info({ topics: missing, replicas }, 'topics created');
  };

  /** Topics that others made keep their settings; some of these break what is promised of them. */
  const warnOfExternalSettings = async (admin: Admin, names: readonly string[]) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name,
        configNames: ['message.timestamp.type'],
      })),
    });
    for (const { resourceName: topic, configEntries } of resources) {
      const settings = new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]));
      if (settings.get('message.timestamp.type') !== 'LogAppendTime') {
        logger.warn(
          { topic },
          'the topic keeps the times of its producers: set message.timestamp.type=LogAppendTime on it',
        );
      }
    }
  };

  const endsOf = async (admin: Admin, name: string): Promise<readonly RecordPosition[]> => {
    const offsets = await once(() => admin.fetchTopicOffsets(name));
    return offsets
      .map(({ partition, high }) => ({ partition, offset: BigInt(high) }))
      .sort((one, other) => one.partition - other.partition);
  };

  return {
    ensure,
    forget: () => {
      known.clear();
      session = undefined;
    },
    sessionMs: async () => (session ??= await ask('asking for the shortest session', shortestSession)),
    endOffsets: (names) =>
      ask('asking for the ends', async (admin) => {
        const there = await existing(admin, names);
        return new Map(
          await Promise.all(there.map(async (name) => [name, await endsOf(admin, name)] as const)),
        );
      }),
    positions: (group, names) =>
      ask('asking for the positions', async (admin) => {
        const there = await existing(admin, names);
        if (there.length === 0) return [];
        // Committed first: a group is never seen behind the end of a moment before.
        const committed = await once(() => admin.fetchOffsets({ groupId: group, topics: [...there] }));
        const positions = await Promise.all(
          there.map(async (name) => {
            const offsets = new Map(
              committed
                .find(({ topic }) => topic === name)
                ?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]),
            );
            return (await endsOf(admin, name)).map(({ partition, offset: end }) => {
              const offset = offsets.get(partition) ?? -1n;
              return { topic: name, partition, committed: offset < 0n ? null : offset, end };
            });
          }),
        );
        return positions.flat();
      }),
    stop: async () => {
      const closing = opened;
      opened = undefined;
      if (!closing) return;
      const left = closing.admin.then((admin) => admin.disconnect());
      await within(2_000, 'leaving', left).catch(() => undefined);
      closing.client.abandon();
    },
  };
};

const leastSession = 'group.min.session.timeout.ms';

/** Who may not ask for a broker's settings gets the usual one. */
const shortestSession = async (admin: Admin): Promise<number> => {
  const { brokers } = await admin.describeCluster();
  const { resources } = await admin
    .describeConfigs({
      includeSynonyms: false,
      resources: brokers.map(({ nodeId }) => ({
        type: kafkajs.ConfigResourceTypes.BROKER,
        name: String(nodeId),
        configNames: [leastSession],
      })),
    })
    .catch(() => ({ resources: [] }));
  const least = resources
    .flatMap(({ configEntries }) => configEntries)
    .filter(({ configName }) => configName === leastSession)
    .map(({ configValue }) => Number(configValue));
  return least.length === 0 ? usualSessionMs : Math.max(shortSessionMs, ...least);
};

/** Other brokers hear of a new topic, and who cares for a group, in their own time: such refusals pass by themselves. */
const passing: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  // What kafkajs makes of the coordinator's absence once it has tried.
  'KafkaJSGroupCoordinatorNotFound',
]);

/** Asks again while the refusal is of that kind, for half the time that an answer may take. */
const once = async <Answer>(question: () => Promise<Answer>): Promise<Answer> => {
  const end = performance.now() + answerMs / 2;
  for (;;) {
    try {
      return await question();
    } catch (error) {
      const { type = '', name } = error as { type?: string; name?: string };
      if (!(passing.has(type) || passing.has(name ?? '')) || performance.now() > end) throw error;
      await delay(100);
    }
  }
};

const described = async (admin: Admin, names: readonly string[]) =>
  (await once(() => admin.fetchTopicMetadata({ topics: [...names] }))).topics;

/**
 * `states` are compacted and nothing else: with "compact,delete" the newest of a key would go after a week as well. What
 * is superseded stays for a week, deletions too, so that a consumer that was away meets each.
 */
const settingsOf = (definition: TopicDefinition | undefined, replicas: number): Record<string, string> => ({
  'message.timestamp.type': 'LogAppendTime',
  // Whatever a producer compresses with: the broker inflates it, and takes no more than max.message.bytes of what comes out.
  'compression.type': 'uncompressed',
  'max.message.bytes': String((definition?.maxMessageBytes ?? defaultMaxMessageBytes) + framingBytes),
  'min.insync.replicas': replicas === 3 ? '2' : '1',
  ...(definition?.retention === 'compact'
    ? { 'cleanup.policy': 'compact', 'min.compaction.lag.ms': week, 'delete.retention.ms': week }
    : { 'cleanup.policy': 'delete', 'retention.ms': week }),
});
