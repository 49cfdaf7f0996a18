import {
  partitionsPerTopic,
  type Broker,
  type OutgoingMessage,
  type RecordPosition,
} from '@cinegraph/messaging/broker';

/** A message as the test broker has it. */
export type SentMessage = OutgoingMessage & RecordPosition;

/** A broker in memory for tests of those who publish, with faults on demand; nobody can subscribe to it. */
export interface TestBroker extends Broker {
  /** All that was ever appended, in that order, also what a lost log had. */
  readonly sent: readonly SentMessage[];
  /** How many publications were tried. */
  readonly attempts: () => number;
  /** What each publication meets before anything is appended: a rejection is that of the publication. */
  onPublish: (messages: readonly OutgoingMessage[]) => Promise<void> | void;
  /** What each publication meets once all of it is appended and nothing is acknowledged. */
  onAppended: () => Promise<void> | void;
  /** Begins anew with empty partitions. */
  loseLog(): void;
}

/** Keeps as much of the seam as publishing needs: partitions by key, offsets from 0, ends. */
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
      const places = messages.map((message) => {
        const offsets = ends.get(message.topic) ?? Array.from({ length: partitionsPerTopic }, () => 0n);
        ends.set(message.topic, offsets);
        const partition = partitionOf(message.key ?? '');
        const offset = offsets[partition] ?? 0n;
        offsets[partition] = offset + 1n;
        sent.push({ ...message, partition, offset });
        return { partition, offset };
      });
      await broker.onAppended();
      return places;
    },
    endOffsets: async (topics) =>
      new Map(
        topics.flatMap((topic) => {
          const offsets = ends.get(topic);
          return offsets ? [[topic, offsets.map((offset, partition) => ({ partition, offset }))]] : [];
        }),
      ),
    subscribe: () => {
      throw new Error('nobody can subscribe to the test broker');
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
