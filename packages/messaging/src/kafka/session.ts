import type { Consumer, ConsumerConfig, ConsumerGroupJoinEvent, EachBatchPayload } from 'kafkajs';
import { pause, within } from '@cinegraph/service/timing';
import type { SubscriptionOptions } from '../broker.js';
import { openKafkaClient, retry, type KafkaClientOptions } from './client.js';
import { fetchedMessages } from './message.js';
import { createOffsetCommits } from './offset-commits.js';
import { createPartition, type Partition } from './partition.js';
import type { KafkaTopics } from './topics.js';

/** A quarter of the shortest session. kafkajs measures from the response to the previous heartbeat. */
const heartbeatMs = 500;
/** At an interval of `heartbeatMs`, every second check would come just before the heartbeat is due. */
const heartbeatCheckMs = 100;
/** How long a rebalance waits for a member that is handling a batch. */
const rebalanceMs = 30_000;
const commitTimeoutMs = 5_000;
const leaveTimeoutMs = 3_000;
/** A session without activity for this long, although no batch is running, has failed. */
const silenceMs = 90_000;
/** Fetches at this distance return more messages each, and cost less. */
const fetchEveryMs = 25;
/** How many partitions of a fetch are received concurrently; each only waits for capacity in its queue. */
const concurrentPartitions = 64;

/** What a consumer session is created with. */
export type SessionOptions = KafkaClientOptions & {
  readonly topics: KafkaTopics;
  readonly subscription: SubscriptionOptions;
};

/** One kafkajs consumer from its first connection to its end. */
export interface Session {
  /** Joins the group and consumes. Rejects when the session cannot continue, and does not resolve before. */
  readonly run: () => Promise<never>;
  /** Finishes and commits the running batches, and leaves the group; never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * Creates a consumer session. kafkajs never restarts the consumer by itself: each failure ends the session.
 * `onJoined` is called for every group join.
 */
export const createSession = (
  options: SessionOptions,
  { sessionMs, onJoined }: { readonly sessionMs: number; readonly onJoined: () => void },
): Session => {
  const { subscription, topics, logger, connectionState } = options;
  const client = openKafkaClient(options);
  const consumer = client.kafka.consumer(consumerConfig(subscription.group, sessionMs));
  let isClosed = false;
  /** True from the start of a rebalance until the group join; fetched messages are dropped meanwhile. */
  let isRejoining = false;
  let joins = 0;
  let nextFetch: Promise<void> | undefined;
  let fail = (_error: unknown): void => undefined;
  const failure = new Promise<never>((_resolve, reject) => (fail = reject));
  failure.catch(() => undefined);
  let commitOffsets: EachBatchPayload['commitOffsetsIfNecessary'] = () => Promise.resolve();

  const commits = createOffsetCommits(
    () => partitions.all(),
    async (offsets) => {
      const joinsBefore = joins;
      try {
        await within(commitTimeoutMs, 'committing offsets', commitOffsets(offsets));
      } catch (error) {
        // An error from before the latest group join says nothing about the present membership.
        if (joinsBefore === joins && !noteLostMembership(error)) fail(error);
      }
    },
  );
  const partitions = createPartitions((topic, partition) =>
    createPartition({ topic, partition, consumer, subscription, logger, onBatchDone: commits.schedule }),
  );
  const silence = watchSilence(consumer, { isBusy: partitions.areRunning, onSilence: fail });

  const startRebalance = (): void => {
    isRejoining = true;
    for (const { dropQueue } of partitions.all()) dropQueue();
  };

  /** Returns whether the error says that the partitions of this member may belong to another one. */
  const noteLostMembership = (error: unknown): boolean => {
    const isLost = lostMembershipTypes.has((error as { type?: string }).type ?? '');
    if (isLost) startRebalance();
    return isLost;
  };

  const receive = async (payload: EachBatchPayload): Promise<void> => {
    const { batch, heartbeat, isStale, resolveOffset } = payload;
    const beat = () => heartbeat().catch(noteLostMembership);
    // A process that was blocked since it joined may have missed heartbeats.
    await beat();
    const partition = partitions.find(batch.topic, batch.partition);
    // Messages fetched before a seek are fetched again; those of a revoked one belong to another member.
    if (isClosed || isRejoining || isStale() || !partition?.isAssigned()) return;
    commitOffsets = payload.commitOffsetsIfNecessary;
    if (!partition.enqueue(fetchedMessages(batch))) return;
    resolveOffset(batch.lastOffset());
    nextFetch ??= pause(fetchEveryMs).then(() => (nextFetch = undefined));
    await nextFetch;
    const beating = setInterval(() => void beat(), heartbeatCheckMs);
    await partition.waitForCapacity();
    clearInterval(beating);
  };

  const start = async (): Promise<void> => {
    await topics.ensure(subscription.topics);
    await consumer.connect();
    await consumer.subscribe({ topics: [...subscription.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: concurrentPartitions,
      eachBatch: async (payload) => {
        if (!isClosed && !isRejoining) await receive(payload);
      },
    });
  };

  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
  consumer.on(consumer.events.FETCH, connectionState.markAvailable);
  consumer.on(consumer.events.REBALANCING, startRebalance);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    partitions.assign(payload.memberAssignment);
    isRejoining = false;
    joins += 1;
    onJoined();
  });

  return {
    run: async () => {
      const started = start();
      started.catch(() => undefined);
      return Promise.race([started.then(() => failure), failure]);
    },
    close: async () => {
      isClosed = true;
      silence.stop();
      await Promise.all(partitions.all().map(({ close }) => close()));
      await commits.drain();
      await within(leaveTimeoutMs, 'leaving the group', consumer.disconnect()).catch(() => undefined);
      client.abandon();
    },
  };
};

const consumerConfig = (groupId: string, sessionTimeout: number): ConsumerConfig => ({
  groupId,
  heartbeatInterval: heartbeatMs,
  sessionTimeout,
  rebalanceTimeout: rebalanceMs,
  // A fetch returns thousands of messages, and of all partitions: otherwise the first would delay the others.
  maxBytesPerPartition: 1_048_576,
  maxBytes: 16 * 1_048_576,
  minBytes: 1,
  maxWaitTimeInMs: 500,
  metadataMaxAge: 15_000,
  allowAutoTopicCreation: false,
  retry: { ...retry, retries: 5, restartOnFailure: async () => false },
});

/** With these error types the broker says that the partitions of this member may belong to another one. */
const lostMembershipTypes: ReadonlySet<string> = new Set([
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_INSTANCE_ID',
]);

type MemberAssignment = ConsumerGroupJoinEvent['payload']['memberAssignment'];

/**
 * Keeps every partition that was assigned during the session. A revoked partition is kept as well: if it is
 * assigned again, its next batch must wait for the one that is still running.
 */
const createPartitions = (create: (topic: string, partition: number) => Partition) => {
  const partitions = new Map<string, Partition>();
  const keyOf = (topic: string, partition: number) => `${topic}/${partition}`;
  const open = (topic: string, partition: number): Partition => {
    const opened = partitions.get(keyOf(topic, partition)) ?? create(topic, partition);
    partitions.set(keyOf(topic, partition), opened);
    return opened;
  };
  return {
    all: (): readonly Partition[] => [...partitions.values()],
    find: (topic: string, partition: number) => partitions.get(keyOf(topic, partition)),
    areRunning: () => [...partitions.values()].some(({ isRunning }) => isRunning()),
    /** Assigns the partitions of a group join to this member, and revokes all others. */
    assign: (assignment: MemberAssignment): void => {
      const assigned = new Set(
        Object.entries(assignment).flatMap(([topic, numbers]) =>
          numbers.map((number) => open(topic, number)),
        ),
      );
      for (const partition of partitions.values()) {
        if (assigned.has(partition)) partition.assign();
        else partition.revoke();
      }
    },
  };
};

/** Calls `onSilence` if kafkajs shows no activity for 90 seconds although no batch is running. */
const watchSilence = (
  consumer: Consumer,
  { isBusy, onSilence }: { readonly isBusy: () => boolean; readonly onSilence: (error: Error) => void },
) => {
  const { GROUP_JOIN, FETCH, END_BATCH_PROCESS, HEARTBEAT } = consumer.events;
  let activeAt = performance.now();
  for (const event of [GROUP_JOIN, FETCH, END_BATCH_PROCESS, HEARTBEAT]) {
    consumer.on(event, () => (activeAt = performance.now()));
  }
  const timer = setInterval(() => {
    if (isBusy() || performance.now() - activeAt <= silenceMs) return;
    onSilence(new Error(`the consumer showed no activity for ${silenceMs} ms`));
  }, 1_000).unref();
  return { stop: () => clearInterval(timer) };
};
