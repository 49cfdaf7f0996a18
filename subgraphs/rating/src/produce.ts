import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { incomingRatings } from '@cinegraph/events/topics';
import type { Broker, OutgoingMessage, RecordPosition } from '@cinegraph/messaging/broker';
import { StartError } from '@cinegraph/service/start-error';
import type { Progress } from '@cinegraph/subgraph/import/progress';
import type { Source } from '@cinegraph/subgraph/import/source';
import { z } from 'zod';
import { readExternalRecords, type ExternalRecord } from './event-source.js';
import { faultText, isExternalFault, readExternalEvent } from './foreign-event.js';

/** What was sent of a source. */
export interface Production {
  /** How many an earlier run had sent or refused, which this one left out. */
  skipped: number;
  sent: number;
  refused: number;
  /** Where they went: of each partition the first and last offset, and how many. */
  readonly partitions: Map<number, { first: bigint; last: bigint; count: number }>;
}

/** So many go out at once: what a killed run sends again at most. */
const maxBatch = 1_000;

/**
 * Sends the rating events of a source to the topic `ratings`, keyed by movie so that those of one stay in order, and waits
 * for the broker to have each batch. Lines that no ingest would take, whatever its scale, are refused and told. How far it
 * is stands in `folder`: killed at any moment, the next run on the same file goes on there, and sends at most one batch again.
 * Throws a StartError, and sends nothing, when what stands there cannot be read.
 */
export const produce = async (
  tools: {
    readonly broker: Pick<Broker, 'publish'>;
    /** Where the position is kept; undefined keeps none. */
    readonly folder: string | undefined;
    readonly progress: Progress;
    readonly onRefused: (record: string, reason: string) => void;
  },
  source: Source,
  options: {
    /** Put before a record id without a colon, in the key as in ingest. */
    readonly idPrefix: string;
    /** At most so many a second. */
    readonly rate?: number | undefined;
  },
): Promise<Production> => {
  const { broker, progress } = tools;
  const { idPrefix, rate } = options;
  const position = openPosition(tools.folder, source.identity);
  const done: Production = { skipped: await position.read(), sent: 0, refused: 0, partitions: new Map() };
  const batchSize = rate === undefined ? maxBatch : Math.min(maxBatch, Math.max(1, Math.ceil(rate / 10)));
  const begun = performance.now();
  let batch: OutgoingMessage[] = [];
  let read = 0;
  const flush = async () => {
    if (rate !== undefined) await delay(Math.max(0, begun + (done.sent / rate) * 1_000 - performance.now()));
    notePlaces(done, await broker.publish(batch));
    done.sent += batch.length;
    batch = [];
    await position.write(read);
    progress.update(source.position(), done.sent);
  };
  for await (const record of readExternalRecords(source)) {
    read += 1;
    if (read <= done.skipped) continue;
    const message = toMessage(record, idPrefix);
    if (typeof message === 'string') {
      done.refused += 1;
      tools.onRefused(record.record, message);
    } else batch.push(message);
    if (batch.length >= batchSize) await flush();
  }
  if (batch.length > 0) await flush();
  await position.clear();
  return done;
};

const toMessage = (record: ExternalRecord, idPrefix: string): OutgoingMessage | string => {
  if ('refused' in record) return record.refused;
  const whole = readExternalEvent(record.event, { scale: 10, idPrefix });
  // The scale is what ingest is told; half-stars are values of one of the two.
  const read = isExternalFault(whole) ? readExternalEvent(record.event, { scale: 5, idPrefix }) : whole;
  if (isExternalFault(read)) return faultText(isExternalFault(whole) ? whole : read);
  return {
    topic: incomingRatings.name,
    key: read.movieId,
    value: Buffer.from(JSON.stringify(record.event)),
    headers: { 'content-type': 'application/json' },
  };
};

const notePlaces = ({ partitions }: Production, places: readonly RecordPosition[]): void => {
  for (const { partition, offset } of places) {
    const known = partitions.get(partition);
    if (known) {
      known.last = offset;
      known.count += 1;
    } else partitions.set(partition, { first: offset, last: offset, count: 1 });
  }
};

const positionSchema = z.object({ identity: z.string(), records: z.int().min(0) });

/** How many records of a source are done, in a file of its identity's name that is replaced as a whole. */
const openPosition = (folder: string | undefined, identity: string | undefined) => {
  if (folder === undefined || identity === undefined) {
    return { read: async () => 0, write: async () => undefined, clear: async () => undefined };
  }
  const name = createHash('sha256').update(identity).digest('hex').slice(0, 16);
  const path = join(folder, `produce-${name}.json`);
  return {
    read: async () => {
      try {
        const found = positionSchema.parse(JSON.parse(await readFile(path, 'utf8')));
        return found.identity === identity ? found.records : 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
        throw new StartError(
          `How far an earlier run came stands in ${path}, which cannot be read. Remove that file, and all of the source is sent again.`,
          { cause: error },
        );
      }
    },
    write: async (records: number) => {
      await mkdir(folder, { recursive: true });
      const next = `${path}.next`;
      await writeFile(next, JSON.stringify({ identity, records } satisfies z.infer<typeof positionSchema>));
      await rename(next, path);
    },
    clear: async () => rm(path, { force: true }),
  };
};
