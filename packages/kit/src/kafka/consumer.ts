import type { Consumer, EachBatchPayload, IHeaders, KafkaMessage } from 'kafkajs';
import { BrokerRefused, type IncomingMessage, type SubscriptionOptions } from '../broker.js';
import { readCompressed, unreadableIn } from './codecs.js';
import { openKafkaClient, pauseMs, retry, type KafkaClientOptions } from './client.js';
import { pause, within } from '../outage.js';
import type { KafkaTopics } from './topics.js';
import type { Part } from '../service.js';

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
const partitionsAtOnce = 8;

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
  readCompressed();

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
        problem = unreadableIn(error) ?? presence.explained(error);
      }
      await life?.end();
      if (signal.aborted) return;
      failed += 1;
      topics.forget();
      const ms = Math.round(pauseMs(failed));
      // What only a person can end has been said once.
      const level = problem instanceof BrokerRefused ? 'debug' : unreadableIn(problem) ? 'error' : 'warn';
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
  const batches = new Set<Promise<void>>();
  const pauses = new Map<string, { failures: number; timer?: NodeJS.Timeout }>();
  let ended = false;
  /** The group is being shared out anew: what is under way is finished, what is not begun is left to its next owner. */
  let rejoining = false;
  let lastSign = performance.now();

  const isOver = () => ended || rejoining || stopping.aborted;

  const noteLoss = (error: unknown) => {
    if (membershipErrors.has((error as { type?: string }).type ?? '')) rejoining = true;
  };

  const commit = async (payload: EachBatchPayload, offset: bigint) => {
    const { topic, partition } = payload.batch;
    const offsets = { topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }] };
    const committed = payload.commitOffsetsIfNecessary(offsets);
    try {
      await within(commitMs, 'committing', committed);
    } catch (error) {
      noteLoss(error);
      throw error;
    }
  };

  const backOff = (topic: string, partition: number, error: unknown) => {
    const slot = `${topic}/${partition}`;
    const paused = pauses.get(slot) ?? { failures: 0 };
    paused.failures += 1;
    const ms = Math.round(pauseMs(paused.failures));
    logger.warn({ err: error, group, topic, partition, pauseMs: ms }, 'a batch failed; its partition pauses');
    const partitions = [{ topic, partitions: [partition] }];
    consumer.pause(partitions);
    paused.timer = setTimeout(() => {
      // Between two lives there is nothing to resume.
      if (!ended) consumer.resume(partitions);
    }, ms);
    pauses.set(slot, paused);
  };

  const handle = async (payload: EachBatchPayload): Promise<void> => {
    const { batch, heartbeat, resolveOffset } = payload;
    const { topic, partition, messages } = batch;
    const beat = () => heartbeat().catch(noteLoss);
    // A process that has only just started may have been silent since it joined, and its first batch keeps it busy.
    await beat();
    const beating = setInterval(() => void beat(), lookMs);
    try {
      for (let at = 0; at < messages.length && !isOver(); at += maxBatch) {
        const slice = messages.slice(at, at + maxBatch);
        try {
          await onBatch(slice.map((message) => incoming(topic, partition, message)));
        } catch (error) {
          backOff(topic, partition, error);
          return;
        }
        pauses.delete(`${topic}/${partition}`);
        const isLast = at + maxBatch >= messages.length;
        // Behind the last message there may be marks of transactions, which are not handed out.
        const last = isLast ? batch.lastOffset() : (slice.at(-1)?.offset ?? '');
        await commit(payload, BigInt(last) + 1n);
        resolveOffset(last);
      }
    } finally {
      clearInterval(beating);
    }
  };

  const start = async () => {
    await topics.ensure(subscription.topics);
    await consumer.connect();
    await consumer.subscribe({ topics: [...subscription.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: partitionsAtOnce,
      eachBatch: (payload) => {
        if (isOver()) return Promise.resolve();
        const work = handle(payload);
        const settled = work.then(
          () => undefined,
          () => undefined,
        );
        batches.add(settled);
        void settled.then(() => batches.delete(settled));
        return work;
      },
    });
  };

  const crash = new Promise<never>((_resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    const watch = setInterval(() => {
      if (ended) clearInterval(watch);
      else if (batches.size === 0 && performance.now() - lastSign > silenceMs) {
        reject(new Error(`the consumer gave no sign for ${silenceMs} ms`));
      }
    }, 1_000).unref();
  });
  crash.catch(() => undefined);
  watchSigns(consumer, (name) => {
    lastSign = performance.now();
    if (name === 'fetch') presence.met();
    if (name !== 'join') return;
    rejoining = false;
    onJoined();
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
      await Promise.all(batches);
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

const watchSigns = (consumer: Consumer, onSign: (name: 'join' | 'fetch' | 'other') => void): void => {
  const { events } = consumer;
  consumer.on(events.GROUP_JOIN, () => onSign('join'));
  consumer.on(events.FETCH, () => onSign('fetch'));
  consumer.on(events.END_BATCH_PROCESS, () => onSign('other'));
  consumer.on(events.HEARTBEAT, () => onSign('other'));
};

const incoming = (topic: string, partition: number, message: KafkaMessage): IncomingMessage => ({
  topic,
  partition,
  offset: BigInt(message.offset),
  appendedAt: timeOf(message.timestamp),
  key: message.key,
  value: message.value,
  headers: headersOf(message.headers),
});

const lastTime = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Topics that others made may keep any time of a producer; what cannot be stored would keep its partition for ever. */
const timeOf = (timestamp: string): Date => new Date(Math.min(Math.max(Number(timestamp), 0), lastTime));

const none: Readonly<Record<string, Buffer>> = {};

/** Of a header that comes more than once, the last. */
const headersOf = (headers: IHeaders | undefined): Readonly<Record<string, Buffer>> => {
  const entries = Object.entries(headers ?? none).flatMap(([name, given]) => {
    const value = Array.isArray(given) ? given.at(-1) : given;
    return value === undefined ? [] : [[name, Buffer.from(value)] as const];
  });
  return entries.length === 0 ? none : Object.fromEntries(entries);
};
