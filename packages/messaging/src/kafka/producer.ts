import { Partitioners, type Message, type PartitionMetadata, type Producer } from 'kafkajs';
import { MessageRefused, type OutgoingMessage, type RecordPosition } from '../broker.js';
import type { TopicDefinition } from '../envelope.js';
import { openKafkaClient, retry, type KafkaClient, type KafkaClientOptions } from './client.js';
import { within } from '@cinegraph/service/timing';
import { defaultMaxMessageBytes, type KafkaTopics } from './topics.js';

/** What the broker's `publish` does, and its end. */
export interface KafkaPublisher {
  readonly publish: (messages: readonly OutgoingMessage[]) => Promise<readonly RecordPosition[]>;
  /** Waits for the publication under way; what waits behind it is refused. */
  readonly stop: () => Promise<void>;
}

const publishMs = 30_000;
/** A request that is larger in all takes long, and much memory. */
const maxRequestBytes = 16 * 1_048_576;

/**
 * Publishes with an idempotent producer, acknowledged by all in-sync replicas, one publication after the other.
 *
 * After any failure the producer is given up and another one, with another producer id, takes its place. The broker knows a batch
 * by producer id and sequence numbers: after a request whose answer was lost, the next publication would carry the numbers of the
 * lost one, and be acknowledged as its repetition without being kept.
 */
export const openKafkaPublisher = (
  options: KafkaClientOptions & {
    readonly topics: KafkaTopics;
    readonly definitions: readonly TopicDefinition[];
  },
): KafkaPublisher => {
  const { topics, presence } = options;
  const limits = new Map(
    options.definitions.map(({ name, maxMessageBytes }) => [name, maxMessageBytes ?? defaultMaxMessageBytes]),
  );
  const partitionOf = createPartitionOf();
  let opened: { client: KafkaClient; producer: Promise<Producer> } | undefined;
  /** The publication before; it never rejects. */
  let last: Promise<void> = Promise.resolve();
  let stopping = false;

  const open = () => {
    const client = openKafkaClient(options);
    const producer = client.kafka.producer({
      idempotent: true,
      // The same producer sends again for a few seconds: the broker knows its batches and keeps each once.
      retry: { ...retry, retries: 7 },
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    return { client, producer: producer.connect().then(() => producer) };
  };

  const giveUp = () => {
    opened?.client.abandon();
    opened = undefined;
    // The cluster may have lost its topics.
    topics.forget();
  };

  const send = async (messages: readonly OutgoingMessage[], isOver: () => boolean) => {
    const counts = await topics.ensure(messages.map(({ topic }) => topic));
    if (isOver()) throw new Error('the time for this publication is over');
    const placed = messages.map((message) => ({
      message,
      // Chosen here, once: kafkajs would choose another one for a keyless message each time it sends again.
      partition: partitionOf(message, counts.get(message.topic) ?? 1),
    }));
    const producer = await (opened ??= open()).producer;
    const places: RecordPosition[] = [];
    for (const request of requestsOf(placed, limits)) {
      if (isOver()) throw new Error('the time for this publication is over');
      places.push(...(await sendRequest(producer, request)));
    }
    return places;
  };

  const publish = async (messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> => {
    for (const message of messages) assertFits(message, limits.get(message.topic));
    if (messages.length === 0) return [];
    let over = false;
    const work = last.then(async () => {
      if (stopping) throw new Error('the broker is being closed');
      return send(messages, () => over);
    });
    // Whoever waits behind it waits no longer than it may take.
    const bounded = within(publishMs, 'publishing', work);
    last = bounded.then(
      () => undefined,
      () => {
        over = true;
        giveUp();
      },
    );
    try {
      const places = await bounded;
      presence.met();
      return places;
    } catch (error) {
      const type = (error as { type?: string }).type ?? '';
      if (neverTaken.has(type)) {
        presence.met();
        throw new MessageRefused(`the broker takes no such message: ${type}`, { cause: error });
      }
      presence.missed();
      throw presence.explained(error);
    }
  };

  return {
    publish,
    stop: async () => {
      stopping = true;
      await last;
      const closing = opened;
      opened = undefined;
      if (!closing) return;
      const left = closing.producer.then((producer) => producer.disconnect());
      await within(2_000, 'leaving', left).catch(() => undefined);
      closing.client.abandon();
    },
  };
};

/** Topics that others made may take less than ours do. */
const neverTaken: ReadonlySet<string> = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
]);

interface Placed {
  readonly message: OutgoingMessage;
  readonly partition: number;
}

/** Murmur2 over the key, as Kafka's own clients do it; messages without a key go round all partitions. */
const createPartitionOf = () => {
  const byKey = Partitioners.DefaultPartitioner();
  const metadata: PartitionMetadata[][] = [];
  let next = Math.floor(Math.random() * 1_000);
  return ({ topic, key, value }: OutgoingMessage, count: number): number => {
    if (key === null) return (next += 1) % count;
    // It looks at nothing of a partition but how many there are.
    const partitionMetadata = (metadata[count] ??= Array.from({ length: count }, (_, partitionId) => ({
      ...{ partitionId, partitionErrorCode: 0, leader: 0, replicas: [], isr: [] },
    })));
    return byKey({ topic, partitionMetadata, message: { key, value } });
  };
};

/** Cuts them, in order, where the records for one partition would be more than its topic takes at once. */
const requestsOf = (placed: readonly Placed[], limits: ReadonlyMap<string, number>): Placed[][] => {
  const requests: Placed[][] = [];
  let [current, whole]: [Placed[], number] = [[], 0];
  let bytesOf = new Map<string, number>();
  for (const one of placed) {
    const bytes = recordBytes(one.message);
    const slot = `${one.message.topic}/${one.partition}`;
    const sum = (bytesOf.get(slot) ?? 0) + bytes;
    const limit = limits.get(one.message.topic) ?? defaultMaxMessageBytes;
    if (current.length > 0 && (sum > limit || whole + bytes > maxRequestBytes)) {
      requests.push(current);
      [current, whole] = [[], 0];
      bytesOf = new Map();
    }
    current.push(one);
    whole += bytes;
    bytesOf.set(slot, (bytesOf.get(slot) ?? 0) + bytes);
  }
  return [...requests, current];
};

const messageBytes = ({ key, value, headers }: OutgoingMessage): number => {
  let bytes = Buffer.byteLength(key ?? '') + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + Buffer.byteLength(headers[name] ?? '');
  return bytes;
};

/** At most what it takes in a batch: lengths and differences are numbers of up to ten bytes. */
const recordBytes = (message: OutgoingMessage): number =>
  messageBytes(message) + 40 + 20 * Object.keys(message.headers).length;

const assertFits = (message: OutgoingMessage, limit: number | undefined): void => {
  const bytes = messageBytes(message);
  if (limit === undefined || bytes <= limit) return;
  throw new MessageRefused(`a message of ${bytes} bytes is more than ${message.topic} takes: ${limit}`);
};

/** One request; the place of each message, in the order in which they were given. */
const sendRequest = async (producer: Producer, request: readonly Placed[]): Promise<RecordPosition[]> => {
  const byTopic = new Map<string, Message[]>();
  for (const { message, partition } of request) {
    const { topic, key, value, headers } = message;
    const messages = byTopic.get(topic) ?? [];
    messages.push({ key, value, headers: { ...headers }, partition });
    byTopic.set(topic, messages);
  }
  const answers = await producer.sendBatch({
    acks: -1,
    timeout: 8_000,
    topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })),
  });
  const next = new Map<string, bigint>();
  for (const { topicName, partition, baseOffset } of answers) {
    const slot = `${topicName}/${partition}`;
    if (baseOffset !== undefined && !next.has(slot)) next.set(slot, BigInt(baseOffset));
  }
  return request.map(({ message: { topic }, partition }) => {
    const slot = `${topic}/${partition}`;
    const offset = next.get(slot);
    // kafkajs leaves a partition out when its leader moves to a broker that has answered already.
    if (offset === undefined || offset < 0n) throw new Error(`${slot} was not acknowledged`);
    next.set(slot, offset + 1n);
    return { partition, offset };
  });
};
