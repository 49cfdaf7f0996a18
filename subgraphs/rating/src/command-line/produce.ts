import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { incomingRatings } from '@cinegraph/events/topics';
import {
  BrokerRefused,
  type Broker,
  type OutgoingMessage,
  type RecordPosition,
} from '@cinegraph/messaging/broker';
import { readRecordedSettings } from '@cinegraph/messaging/consumer/settings';
import { readEnv } from '@cinegraph/service/env';
import { StartError } from '@cinegraph/service/start-error';
import { printable, say } from '@cinegraph/service/terminal';
import { startProgress, type Progress } from '@cinegraph/subgraph/import/progress';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { z } from 'zod';
import { ingestName, ingestVariables } from '../consumers/ratings-topic.js';
import { readExternalRecords, type ExternalRecord } from '../import/external-file.js';
import { faultText, isExternalFault, readExternalEvent } from '../consumers/external-event.js';

const idPrefixVariable = { INGEST_ID_PREFIX: ingestVariables.INGEST_ID_PREFIX };

/** How many refused lines are printed one by one. */
const maxPrintedRefusals = 1_000;

/**
 * `produce`: sends a file of external rating events to the topic `ratings`, and prints the offsets that they
 * got.
 */
export const produce: Command = {
  what: 'the sending',
  usage: ['produce <file, or - for standard input> [--rate <ratings per second>]'],
  run: async (args, { pool, folder, variables, openBroker }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { rate: { type: 'string' } },
      allowPositionals: true,
    });
    const [path, ...more] = positionals;
    const rate = values.rate === undefined ? undefined : Number(values.rate);
    if (path === undefined || more.length > 0 || (rate !== undefined && !(rate > 0 && rate <= 1_000_000)))
      return 'usage';
    // The key of a message must have the prefix of the service. Before its first start, only we can have one.
    const recorded = (await readRecordedSettings(pool)).get(ingestName)?.settings;
    const { INGEST_ID_PREFIX: idPrefix } = recorded
      ? readEnv(idPrefixVariable, recorded)
      : variables(idPrefixVariable);
    const source = await openSource(path);
    const broker = await openBroker([incomingRatings]);
    const progress = startProgress({
      what: `rating: ${printable(source.name)}`,
      items: 'ratings',
      total: source.size ?? 0,
      shown: process.stdout.isTTY,
    });
    let refusals = 0;
    const onRefused = (record: string, reason: string) => {
      refusals += 1;
      if (refusals <= maxPrintedRefusals)
        process.stderr.write(`refused ${printable(`${record}: ${reason}`)}\n`);
    };
    await broker.part.start();
    try {
      const done = await produceSource({ broker, folder, progress, onRefused }, source, {
        idPrefix,
        rate,
      }).finally(() => progress.stop());
      if (done.skipped > 0) say(`${done.skipped} lines were sent or refused by an earlier run.`);
      say(`${done.sent} ratings sent, ${done.refused} lines refused.`);
      for (const [partition, { first, last, count }] of [...done.partitions].sort(([a], [b]) => a - b))
        say(`  ${incomingRatings.name}/${partition}: ${count}, offsets ${first} to ${last}`);
      return done.refused > 0 && done.sent + done.skipped === 0 ? 1 : 0;
    } catch (error) {
      if (error instanceof StartError || error instanceof BrokerRefused || broker.answers()) throw error;
      throw new StartError(
        'The broker is unavailable. Messages already sent are kept. Run the command again to continue from there.',
        { cause: error },
      );
    } finally {
      await broker.part.stop();
    }
  },
};

/** What was sent of a source. */
export interface Production {
  /** How many records an earlier run had sent or refused; this run skipped them. */
  skipped: number;
  sent: number;
  refused: number;
  /** The first and last offset and the number of messages, by partition. */
  readonly partitions: Map<number, { first: bigint; last: bigint; count: number }>;
}

/** How many messages are published at once, and so how many a killed run may send twice at most. */
const maxBatch = 1_000;

/**
 * Sends the rating events of a source to the topic `ratings`, keyed by movie, and waits for the
 * acknowledgement of each batch. Lines that ingest would refuse at any scale are not sent, but reported to
 * `onRefused`. The progress is kept in `folder`: after a kill, the next run on the same file continues there,
 * and sends at most one batch twice. If the kept progress cannot be read, it throws a StartError and sends
 * nothing.
 */
export const produceSource = async (
  tools: {
    readonly broker: Pick<Broker, 'publish'>;
    /** Where the progress is kept; undefined keeps none. */
    readonly folder: string | undefined;
    readonly progress: Progress;
    readonly onRefused: (record: string, reason: string) => void;
  },
  source: Source,
  options: {
    /** Put before a record id that has no colon to get the key, as ingest does it. */
    readonly idPrefix: string;
    /** The most messages per second; undefined sets no limit. */
    readonly rate?: number | undefined;
  },
): Promise<Production> => {
  const { broker, progress } = tools;
  const { idPrefix, rate } = options;
  const position = openPosition(tools.folder, source.fingerprint);
  const done: Production = { skipped: await position.read(), sent: 0, refused: 0, partitions: new Map() };
  const batchSize = rate === undefined ? maxBatch : Math.min(maxBatch, Math.max(1, Math.ceil(rate / 10)));
  const begun = performance.now();
  let batch: OutgoingMessage[] = [];
  let read = 0;
  const flush = async () => {
    if (rate !== undefined) await delay(Math.max(0, begun + (done.sent / rate) * 1_000 - performance.now()));
    recordOffsets(done, await broker.publish(batch));
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

/** Returns the message, or why no ingest would accept the record. */
const toMessage = (record: ExternalRecord, idPrefix: string): OutgoingMessage | string => {
  if ('refused' in record) return record.refused;
  // Which scale ingest uses is not known here, so a record is sent if one of the two scales accepts it.
  const ofTen = readExternalEvent(record.event, { scale: 10, idPrefix });
  const read = isExternalFault(ofTen) ? readExternalEvent(record.event, { scale: 5, idPrefix }) : ofTen;
  if (isExternalFault(read)) return faultText(isExternalFault(ofTen) ? ofTen : read);
  return {
    topic: incomingRatings.name,
    key: read.movieId,
    value: Buffer.from(JSON.stringify(record.event)),
    headers: { 'content-type': 'application/json' },
  };
};

const recordOffsets = ({ partitions }: Production, positions: readonly RecordPosition[]): void => {
  for (const { partition, offset } of positions) {
    const known = partitions.get(partition);
    if (known) {
      known.last = offset;
      known.count += 1;
    } else partitions.set(partition, { first: offset, last: offset, count: 1 });
  }
};

const positionSchema = z.object({ identity: z.string(), records: z.int().min(0) });

/**
 * Keeps how many records of a source are done, in a file named after the source that is replaced as a whole.
 */
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
          `The progress of an earlier run is kept in ${path}, which cannot be read. Remove that file to send the whole source again.`,
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
