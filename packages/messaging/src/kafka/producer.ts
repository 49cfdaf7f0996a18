import { Partitioners, type Message, type PartitionMetadata, type Producer } from 'kafkajs';
import { within } from '@cinegraph/service/timing';
import { MessageRefused, type OutgoingMessage, type RecordPosition } from '../broker.js';
import type { TopicDefinition } from '../envelope.js';
import { openKafkaClient, retry, type KafkaClient, type KafkaClientOptions } from './client.js';
import { defaultMaxMessageBytes, type KafkaTopics } from './topics.js';

/** The publishing side of the Kafka broker. */
export interface KafkaPublisher {
  /** Implements `Broker.publish`. */
  readonly publish: (messages: readonly OutgoingMessage[]) => Promise<readonly RecordPosition[]>;
  /** Waits for the publication in progress; publications that wait for it reject. */
  readonly stop: () => Promise<void>;
}

const publishTimeoutMs = 30_000;
/** Larger requests would take much time and memory. */
const maxRequestBytes = 16 * 1_048_576;

/**
 * Opens a publisher with an idempotent producer: one publication at a time, acknowledged by all in-sync
 * replicas.
 *
 * After any failure, the producer is replaced by one with another producer id. The broker identifies a batch
 * by its producer id and sequence numbers. If a response was lost, kafkajs would give the next publication
 * the sequence numbers of the lost one, and the broker would acknowledge it as a duplicate without storing
 * it.
 */
export const openKafkaPublisher = (
  options: KafkaClientOptions & {
    readonly topics: KafkaTopics;
    readonly definitions: readonly TopicDefinition[];
  },
): KafkaPublisher => {
  const { topics, connectionState } = options;
  const limits = new Map(
    options.definitions.map(({ name, maxMessageBytes }) => [name, maxMessageBytes ?? defaultMaxMessageBytes]),
  );
  const choosePartition = createPartitioner();
  let opened: { client: KafkaClient; producer: Promise<Producer> } | undefined;
  /** The previous publication; it never rejects. */
  let previous: Promise<void> = Promise.resolve();
  let stopping = false;

  const open = () => {
    const client = openKafkaClient(options);
    const producer = client.kafka.producer({
      idempotent: true,
      // Within one producer, retries are safe: the broker recognises its batches and stores each once.
      retry: { ...retry, retries: 7 },
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    return { client, producer: producer.connect().then(() => producer) };
  };

  const discardProducer = () => {
    opened?.client.abandon();
    opened = undefined;
    // The failure may mean that the cluster has lost its topics.
    topics.forget();
  };

  const send = async (messages: readonly OutgoingMessage[], signal: AbortSignal) => {
    const partitionCounts = await topics.ensure(messages.map(({ topic }) => topic));
    signal.throwIfAborted();
    const records = messages.map((message) => ({
      message,
      // Chosen once: for a message without a key, kafkajs would choose another partition for each retry.
      partition: choosePartition(message, partitionCounts.get(message.topic) ?? 1),
    }));
    const positions: RecordPosition[] = [];
    for (const request of splitIntoRequests(records, limits)) {
      positions.push(...(await sendOrHalve(request, signal)));
    }
    return positions;
  };

  /**
   * Sends one request. If the cluster refuses it, sends its halves: a refusal does not name the message, and
   * the messages may only be too large together. A message that is refused alone is the one that is named.
   */
  const sendOrHalve = async (
    request: readonly PartitionedRecord[],
    signal: AbortSignal,
  ): Promise<RecordPosition[]> => {
    signal.throwIfAborted();
    try {
      return await sendRequest(await (opened ??= open()).producer, request);
    } catch (error) {
      const type = (error as { type?: string }).type ?? '';
      const [record, ...others] = request;
      if (!refusedForGood.has(type) || !record) throw error;
      if (others.length === 0) {
        throw new MessageRefused(`the broker refuses this message: ${type}`, record.message, {
          cause: error,
        });
      }
      signal.throwIfAborted();
      discardProducer();
      const half = Math.ceil(request.length / 2);
      const first = await sendOrHalve(request.slice(0, half), signal);
      return [...first, ...(await sendOrHalve(request.slice(half), signal))];
    }
  };

  const publish = async (messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> => {
    for (const message of messages) assertFits(message, limits.get(message.topic));
    if (messages.length === 0) return [];
    const timedOut = new AbortController();
    const work = previous.then(async () => {
      if (stopping) throw new Error('the broker is closed');
      return send(messages, timedOut.signal);
    });
    // The time limit includes the wait for the previous publication.
    const bounded = within(publishTimeoutMs, 'publishing', work);
    previous = bounded.then(
      () => undefined,
      () => {
        timedOut.abort();
        discardProducer();
      },
    );
    try {
      const positions = await bounded;
      connectionState.markAvailable();
      return positions;
    } catch (error) {
      if (error instanceof MessageRefused) {
        connectionState.markAvailable();
        throw error;
      }
      connectionState.markUnavailable();
      throw connectionState.explain(error);
    }
  };

  return {
    publish,
    stop: async () => {
      stopping = true;
      await previous;
      const closing = opened;
      opened = undefined;
      if (!closing) return;
      const disconnected = closing.producer.then((producer) => producer.disconnect());
      await within(2_000, 'disconnecting', disconnected).catch(() => undefined);
      closing.client.abandon();
    },
  };
};

/** Topics created by others may have a lower limit than ours. */
const refusedForGood: ReadonlySet<string> = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
]);

interface PartitionedRecord {
  readonly message: OutgoingMessage;
  readonly partition: number;
}

/** Chooses a partition: by murmur2 of the key, as Kafka's own clients do; without a key, round-robin. */
const createPartitioner = () => {
  const byKey = Partitioners.DefaultPartitioner();
  const metadata: PartitionMetadata[][] = [];
  let next = Math.floor(Math.random() * 1_000);
  return ({ topic, key, value }: OutgoingMessage, partitionCount: number): number => {
    if (key === null) return (next += 1) % partitionCount;
    // For a message with a key, only the number of partitions matters.
    const partitionMetadata = (metadata[partitionCount] ??= Array.from(
      { length: partitionCount },
      (_, partitionId) => ({ partitionId, partitionErrorCode: 0, leader: 0, replicas: [], isr: [] }),
    ));
    return byKey({ topic, partitionMetadata, message: { key, value } });
  };
};

/**
 * Splits records, in order, into requests. A request holds at most as many bytes for one partition as its
 * topic accepts in a batch, and at most `maxRequestBytes` in total.
 */
const splitIntoRequests = (
  records: readonly PartitionedRecord[],
  limits: ReadonlyMap<string, number>,
): PartitionedRecord[][] => {
  const requests: PartitionedRecord[][] = [];
  let request: PartitionedRecord[] = [];
  let totalBytes = 0;
  let partitionBytes = new Map<string, number>();
  for (const record of records) {
    const bytes = recordBytes(record.message);
    const key = keyOf(record.message.topic, record.partition);
    const limit = limits.get(record.message.topic) ?? defaultMaxMessageBytes;
    const isFull = (partitionBytes.get(key) ?? 0) + bytes > limit || totalBytes + bytes > maxRequestBytes;
    if (request.length > 0 && isFull) {
      requests.push(request);
      request = [];
      totalBytes = 0;
      partitionBytes = new Map();
    }
    request.push(record);
    totalBytes += bytes;
    partitionBytes.set(key, (partitionBytes.get(key) ?? 0) + bytes);
  }
  return [...requests, request];
};

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;

const messageBytes = ({ key, value, headers }: OutgoingMessage): number => {
  let bytes = Buffer.byteLength(key ?? '') + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + Buffer.byteLength(headers[name] ?? '');
  return bytes;
};

/** Returns the largest size of the record in a batch: a length or delta is a varint of up to ten bytes. */
const recordBytes = (message: OutgoingMessage): number =>
  messageBytes(message) + 40 + 20 * Object.keys(message.headers).length;

const assertFits = (message: OutgoingMessage, limit: number | undefined): void => {
  const bytes = messageBytes(message);
  if (limit === undefined || bytes <= limit) return;
  throw new MessageRefused(
    `a message of ${bytes} bytes exceeds the limit of ${message.topic}: ${limit} bytes`,
    message,
  );
};

/** Sends one request. Resolves with the positions of its records, in the same order. */
const sendRequest = async (
  producer: Producer,
  request: readonly PartitionedRecord[],
): Promise<RecordPosition[]> => {
  const byTopic = new Map<string, Message[]>();
  for (const { message, partition } of request) {
    const { topic, key, value, headers } = message;
    const messages = byTopic.get(topic) ?? [];
    messages.push({ key, value, headers: { ...headers }, partition });
    byTopic.set(topic, messages);
  }
  const acknowledged = await producer.sendBatch({
    acks: -1,
    timeout: 8_000,
    topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })),
  });
  const nextOffsets = new Map<string, bigint>();
  for (const { topicName, partition, baseOffset } of acknowledged) {
    const key = keyOf(topicName, partition);
    if (baseOffset !== undefined && !nextOffsets.has(key)) nextOffsets.set(key, BigInt(baseOffset));
  }
  return request.map(({ message: { topic }, partition }) => {
    const key = keyOf(topic, partition);
    const offset = nextOffsets.get(key);
    // kafkajs omits a partition whose leader moves to a broker that has already responded.
    if (offset === undefined || offset < 0n) throw new Error(`${key} was not acknowledged`);
    nextOffsets.set(key, offset + 1n);
    return { partition, offset };
  });
};
