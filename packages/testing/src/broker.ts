import {
  partitionsPerTopic,
  type Broker,
  type OutgoingMessage,
  type RecordPosition,
} from '@cinegraph/messaging/broker';

/** A message with its position in the test broker. */
export type SentMessage = OutgoingMessage & RecordPosition;

/** A broker in memory for tests of publishers, with faults on demand. It has no subscriptions. */
export interface TestBroker extends Broker {
  /** All messages that were appended, in that order, including those of a lost log. */
  readonly sent: readonly SentMessage[];
  /** Returns how many publications were attempted. */
  readonly attempts: () => number;
  /** Called by each publication before anything is appended. If it rejects, the publication does. */
  onPublish: (messages: readonly OutgoingMessage[]) => Promise<void> | void;
  /** Called by each publication after its messages are appended and before they are acknowledged. */
  onAppended: () => Promise<void> | void;
  /** Empties all partitions, as a broker does that has lost its log. */
  loseLog(): void;
}

/** Creates a test broker with partitions by key, offsets from 0, and end offsets. */
export const createTestBroker = (): TestBroker => {
  const sent: SentMessage[] = [];
  const ends = new Map<string, bigint[]>();
  let attempts = 0;
  const broker: TestBroker = {
    sent,
    attempts: () => attempts,
    onPublish: () => undefined,
    onAppended: () => undefined,
    loseLog: () => ends.clear(),
    part: { name: 'broker', start: async () => undefined, stop: async () => undefined },
    publish: async (messages) => {
      attempts += 1;
      await broker.onPublish(messages);
      const positions = messages.map((message) => {
        const offsets = ends.get(message.topic) ?? Array.from({ length: partitionsPerTopic }, () => 0n);
        ends.set(message.topic, offsets);
        const partition = partitionOf(message.key ?? '');
        const offset = offsets[partition] ?? 0n;
        offsets[partition] = offset + 1n;
        sent.push({ ...message, partition, offset });
        return { partition, offset };
      });
      await broker.onAppended();
      return positions;
    },
    endOffsets: async (topics) =>
      new Map(
        topics.flatMap((topic) => {
          const offsets = ends.get(topic);
          return offsets ? [[topic, offsets.map((offset, partition) => ({ partition, offset }))]] : [];
        }),
      ),
    subscribe: () => {
      throw new Error('The test broker has no subscriptions.');
    },
    positions: async () => [],
    answers: () => true,
  };
  return broker;
};

const partitionOf = (key: string): number => {
  let hash = 0;
  for (let index = 0; index < key.length; index += 1) hash = (hash * 31 + key.charCodeAt(index)) >>> 0;
  return hash % partitionsPerTopic;
};
