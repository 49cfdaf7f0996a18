import type { KafkaMessage } from 'kafkajs';

/** What a fetch found of one partition. */
export interface Fetched {
  /** The offset that was asked for. */
  readonly from: bigint;
  readonly messages: readonly KafkaMessage[];
  /** The offset behind all of it: behind the last message there may be marks of transactions, which are not handed out. */
  readonly behind: bigint;
}

/** What a lane is opened with. */
export interface LaneOptions {
  readonly maxBatch: number;
  /** Handles messages in order, one batch at a time. */
  readonly handle: (messages: readonly KafkaMessage[]) => Promise<void>;
  /** A batch is done: the offset behind it. */
  readonly onDone: (behind: bigint) => void;
  /** A batch failed. The lane has dropped what waited, and expects the messages from its first one on. */
  readonly onFailed: (error: unknown, first: bigint) => void;
}

/** So many bytes wait at most, and what one fetch brings more. */
const maxWaitingBytes = 1_048_576;

/** One partition's messages on their way from fetches to batches. */
export type Lane = ReturnType<typeof createPartitionQueue>;

/**
 * Keeps what was fetched of one partition until it is handled: in order, as many messages at a time as there are, up to
 * `maxBatch`. It goes on while the next fetch is under way, and other lanes do not wait for it.
 */
export const createPartitionQueue = ({ maxBatch, handle, onDone, onFailed }: LaneOptions) => {
  let waiting: KafkaMessage[] = [];
  let waitingBytes = 0;
  /** What the next fetch has to begin with; undefined before the first. */
  let next: bigint | undefined;
  /** Where the consumer was sent back to when a fetch left something out. */
  let sought: bigint | undefined;
  /** The first offset of the batch under way. */
  let first: bigint | undefined;
  /** Counts how often the partition was given away. */
  let given = 0;
  let running: Promise<void> | undefined;
  let room: { readonly made: Promise<void>; readonly make: () => void } | undefined;

  const isFull = () => waiting.length >= maxBatch || waitingBytes >= maxWaitingBytes;

  const makeRoom = () => {
    if (isFull()) return;
    room?.make();
    room = undefined;
  };

  const drop = (): void => {
    next = first ?? offsetOf(waiting[0]) ?? next;
    sought = undefined;
    waiting = [];
    waitingBytes = 0;
    makeRoom();
  };

  const handleNext = async (): Promise<'done' | 'failed'> => {
    const batch = waiting.splice(0, maxBatch);
    for (const message of batch) waitingBytes -= bytesOf(message);
    const begin = offsetOf(batch[0]) ?? 0n;
    const behind = waiting.length === 0 && next !== undefined ? next : (offsetOf(batch.at(-1)) ?? 0n) + 1n;
    first = begin;
    const before = given;
    makeRoom();
    try {
      await handle(batch);
    } catch (error) {
      if (before !== given) return 'done';
      drop();
      first = undefined;
      onFailed(error, begin);
      return 'failed';
    }
    if (before !== given) return 'done';
    first = undefined;
    if (waiting.length === 0 && next !== undefined && next < behind) next = behind;
    onDone(behind);
    return 'done';
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0 && (await handleNext()) === 'done');
    running = undefined;
  };

  return {
    /**
     * Takes what was fetched. Answers the offset to fetch again from, and takes nothing, when messages between what it has
     * and these are missing, as behind a batch that failed meanwhile; unless that brings the same: the broker has them no more.
     */
    take: ({ from, messages, behind }: Fetched): bigint | undefined => {
      if (next !== undefined && from > next && sought !== next) return (sought = next);
      next = behind;
      sought = undefined;
      for (const message of messages) {
        waiting.push(message);
        waitingBytes += bytesOf(message);
      }
      running ??= run();
      return undefined;
    },
    /** Resolves once more may be taken. */
    room: (): Promise<void> => {
      if (!isFull()) return Promise.resolve();
      return (room ??= createRoom()).made;
    },
    /** Drops what waits, which is to be fetched again; the batch under way is finished. */
    drop,
    /** Drops what waits, which another member has from now on. */
    forget: (): void => {
      given += 1;
      first = undefined;
      drop();
      next = undefined;
    },
    /** The batch under way, if there is one; never rejects. */
    running: (): Promise<void> | undefined => running,
  };
};

const bytesOf = ({ key, value }: KafkaMessage): number => (key?.length ?? 0) + (value?.length ?? 0);

const offsetOf = (message: KafkaMessage | undefined): bigint | undefined => message && BigInt(message.offset);

const createRoom = () => {
  let make = (): void => undefined;
  const made = new Promise<void>((resolve) => (make = resolve));
  return { made, make: () => make() };
};
