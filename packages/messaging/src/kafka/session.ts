import type { Consumer, ConsumerGroupJoinEvent, EachBatchPayload } from 'kafkajs';
import { BrokerRefused, type SubscriptionOptions } from '../broker.js';
import { registerCodecs, unreadableBatchIn } from './codecs/index.js';
import { openKafkaClient, pauseMs, retry, type KafkaClientOptions } from './client.js';
import { createCommits } from './offset-commits.js';
import { createPartitionQueue, type Lane } from './partition.js';
import { fetchedFrom, incoming } from './message.js';
import { pause, within } from '@cinegraph/service/timing';
import type { KafkaTopics } from './topics.js';
import type { Part } from '@cinegraph/service/parts';

/** A quarter of the shortest session. kafkajs counts from the answer to the last one. */
const heartbeatMs = 500;
/** So often is looked whether one is due: at its own distance, every second look would come a moment too early. */
const lookMs = 100;
/** So long do the others wait in a rebalance for a member that is busy with a batch. */
const rebalanceMs = 30_000;
const commitMs = 5_000;
const leaveMs = 3_000;
/** A consumer of kafkajs that gives no sign for so long, though no batch is under way, is given up. */
const silenceMs = 90_000;
/** Fetches at least so far apart bring more messages each, and cost less. */
const fetchEveryMs = 25;
/** kafkajs hands over the partitions of one fetch side by side; they only wait for room. */
const partitionsAtOnce = 64;

type ConsumerOptions = KafkaClientOptions & {
  readonly topics: KafkaTopics;
  readonly subscription: SubscriptionOptions;
};

/**
 * A member of a group for as long as the part is started. It has one life after another: each is a kafkajs consumer that
 * kafkajs itself never starts again, and whatever ends it (the broker away, an error that kafkajs calls final, silence) is
 * followed by the next one, after a pause. So it never ends without having been asked to.
 */
export const createKafkaConsumer = (options: ConsumerOptions): Part => {
  const { subscription, logger, topics, presence } = options;
  const stopping = new AbortController();
  let lives: Promise<void> | undefined;
  registerCodecs();

  const live = async (): Promise<void> => {
    const { signal } = stopping;
    let failed = 0;
    for (;;) {
      let life: Life | undefined;
      let problem: unknown;
      try {
        const sessionMs = await unlessStopped(signal, topics.sessionMs());
        if (sessionMs === undefined) return;
        life = createLife(options, { stopping: signal, sessionMs, onJoined: () => (failed = 0) });
        await life.run();
      } catch (error) {
        problem = unreadableBatchIn(error) ?? presence.explained(error);
      }
      await life?.end();
      if (signal.aborted) return;
      failed += 1;
      topics.forget();
      const ms = Math.round(pauseMs(failed));
      // What only a person can end has been said once.
      const level = problem instanceof BrokerRefused ? 'debug' : unreadableBatchIn(problem) ? 'error' : 'warn';
      logger[level]({ err: problem, group: subscription.group, pauseMs: ms }, 'consuming anew after a pause');
      await pause(ms, signal);
    }
  };

  return {
    name: `consumer ${subscription.group}`,
    start: async () => {
      lives = live();
    },
    stop: async () => {
      stopping.abort();
      await lives;
    },
  };
};

type Life = ReturnType<typeof createLife>;

/** Resolves with `work`, or with undefined as soon as the signal is aborted. */
const unlessStopped = async <Result>(
  signal: AbortSignal,
  work: Promise<Result>,
): Promise<Result | undefined> => {
  let stop = (): void => undefined;
  const stopped = new Promise<undefined>((resolve) => (stop = () => resolve(undefined)));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, stopped]);
  } finally {
    // An outage has many lives, and all of them the one signal.
    signal.removeEventListener('abort', stop);
  }
};

/** `run` resolves when it is to stop and rejects when it cannot go on; `end` finishes the batches under way and leaves. */
const createLife = (
  options: ConsumerOptions,
  {
    stopping,
    sessionMs,
    onJoined,
  }: { readonly stopping: AbortSignal; readonly sessionMs: number; readonly onJoined: () => void },
) => {
  const { subscription, logger, topics, presence } = options;
  const { group, onBatch, maxBatch = 5_000 } = subscription;
  const client = openKafkaClient(options);
  const consumer = client.kafka.consumer({
    groupId: group,
    heartbeatInterval: heartbeatMs,
    sessionTimeout: sessionMs,
    rebalanceTimeout: rebalanceMs,
    // Thousands of messages at a time; and for all partitions, or the first of them would keep the others waiting.
    maxBytesPerPartition: 1_048_576,
    maxBytes: 16 * 1_048_576,
    minBytes: 1,
    maxWaitTimeInMs: 500,
    metadataMaxAge: 15_000,
    allowAutoTopicCreation: false,
    retry: { ...retry, retries: 5, restartOnFailure: async () => false },
  });
  const lanes = new Map<string, Lane>();
  const pauses = new Map<string, { failures: number; timer?: NodeJS.Timeout }>();
  let ended = false;
  /** The group is being shared out anew: what is under way is finished, what is not begun is left to its next owner. */
  let rejoining = false;
  let joins = 0;
  let lastSign = performance.now();
  let fail = (_error: unknown): void => undefined;

  let assigned: ConsumerGroupJoinEvent['payload']['memberAssignment'] = {};

  const isOurs = (topic: string, partition: number) => assigned[topic]?.includes(partition) === true;
  const isOver = () => ended || rejoining || stopping.aborted;
  const underWay = () => [...lanes.values()].flatMap((lane) => lane.running() ?? []);
  const dropAll = () => {
    for (const lane of lanes.values()) lane.drop();
  };

  /** Answers whether the error says that the member's partitions may be another's now. */
  const noteLoss = (error: unknown): boolean => {
    const lost = membershipErrors.has((error as { type?: string }).type ?? '');
    if (lost) {
      rejoining = true;
      dropAll();
    }
    return lost;
  };

  let commit: EachBatchPayload['commitOffsetsIfNecessary'] = () => Promise.resolve();
  const commits = createCommits(async (offsets) => {
    const during = joins;
    try {
      await within(commitMs, 'committing', commit(offsets));
    } catch (error) {
      // What is refused to the member of before says nothing of the one that has joined again.
      if (during === joins && !noteLoss(error)) fail(error);
    }
  });

  const backOff = (topic: string, partition: number, first: bigint, error: unknown) => {
    const slot = `${topic}/${partition}`;
    const paused = pauses.get(slot) ?? { failures: 0 };
    paused.failures += 1;
    const ms = Math.round(pauseMs(paused.failures));
    logger.warn({ err: error, group, topic, partition, pauseMs: ms }, 'a batch failed; its partition pauses');
    if (ended) return;
    const partitions = [{ topic, partitions: [partition] }];
    consumer.pause(partitions);
    consumer.seek({ topic, partition, offset: String(first) });
    paused.timer = setTimeout(() => {
      // Between two lives there is nothing to resume.
      if (!ended) consumer.resume(partitions);
    }, ms);
    pauses.set(slot, paused);
  };

  const openLane = (topic: string, partition: number): Lane => {
    const lane = createPartitionQueue({
      maxBatch,
      handle: (messages) => onBatch(messages.map((message) => incoming(topic, partition, message))),
      onDone: (behind) => {
        pauses.delete(`${topic}/${partition}`);
        commits.add({ topic, partition, offset: String(behind) });
      },
      onFailed: (error, first) => backOff(topic, partition, first, error),
    });
    lanes.set(`${topic}/${partition}`, lane);
    return lane;
  };

  let nextFetch: Promise<void> | undefined;
  const take = async (payload: EachBatchPayload): Promise<void> => {
    const { batch, heartbeat, resolveOffset } = payload;
    const { topic, partition, messages } = batch;
    const beat = () => heartbeat().catch(noteLoss);
    // A process that has only just started may have been silent since it joined.
    await beat();
    // What was fetched before the consumer was sent back is fetched again, and what was another's meanwhile is left to it.
    if (isOver() || payload.isStale() || !isOurs(topic, partition)) return;
    commit = payload.commitOffsetsIfNecessary;
    const lane = lanes.get(`${topic}/${partition}`) ?? openLane(topic, partition);
    const last = batch.lastOffset();
    const missing = lane.take({ from: fetchedFrom(batch), messages, behind: BigInt(last) + 1n });
    if (missing !== undefined) {
      consumer.seek({ topic, partition, offset: String(missing) });
      return;
    }
    resolveOffset(last);
    nextFetch ??= pause(fetchEveryMs).then(() => (nextFetch = undefined));
    await nextFetch;
    const beating = setInterval(() => void beat(), lookMs);
    await lane.room();
    clearInterval(beating);
  };

  const start = async () => {
    await topics.ensure(subscription.topics);
    await consumer.connect();
    await consumer.subscribe({ topics: [...subscription.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: partitionsAtOnce,
      eachBatch: (payload) => (isOver() ? Promise.resolve() : take(payload)),
    });
  };

  const crash = new Promise<never>((_resolve, reject) => {
    fail = reject;
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    const watch = setInterval(() => {
      if (ended) clearInterval(watch);
      else if (underWay().length === 0 && performance.now() - lastSign > silenceMs) {
        reject(new Error(`the consumer gave no sign for ${silenceMs} ms`));
      }
    }, 1_000).unref();
  });
  crash.catch(() => undefined);
  consumer.on(consumer.events.REBALANCING, () => {
    rejoining = true;
    dropAll();
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned = payload.memberAssignment;
    for (const [slot, lane] of lanes) {
      const at = slot.lastIndexOf('/');
      if (isOurs(slot.slice(0, at), Number(slot.slice(at + 1)))) lane.drop();
      else {
        lane.forget();
        commits.forget(slot);
      }
    }
    rejoining = false;
    joins += 1;
    onJoined();
  });
  watchSigns(consumer, (isFetch) => {
    lastSign = performance.now();
    if (isFetch) presence.met();
  });

  return {
    run: async (): Promise<void> => {
      const started = start();
      started.catch(() => undefined);
      await unlessStopped(stopping, Promise.race([started.then(() => crash), crash]));
    },
    end: async (): Promise<void> => {
      ended = true;
      for (const { timer } of pauses.values()) clearTimeout(timer);
      dropAll();
      await Promise.all(underWay());
      await commits.all();
      await within(leaveMs, 'leaving the group', consumer.disconnect()).catch(() => undefined);
      client.abandon();
    },
  };
};

/** By these the broker says that the member's partitions may be another's now. */
const membershipErrors: ReadonlySet<string> = new Set([
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_INSTANCE_ID',
]);

const watchSigns = (consumer: Consumer, onSign: (isFetch: boolean) => void): void => {
  const { events } = consumer;
  consumer.on(events.GROUP_JOIN, () => onSign(false));
  consumer.on(events.FETCH, () => onSign(true));
  consumer.on(events.END_BATCH_PROCESS, () => onSign(false));
  consumer.on(events.HEARTBEAT, () => onSign(false));
};
