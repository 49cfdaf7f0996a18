import { parseArgs } from 'node:util';
import { incomingRatings } from '@cinegraph/events/topics';
import { BrokerRefused } from '@cinegraph/messaging/broker';
import { StartError } from '@cinegraph/service/start-error';
import { startProgress } from '@cinegraph/subgraph/import/progress';
import { openSource } from '@cinegraph/subgraph/import/source';
import { printable } from '@cinegraph/service/terminal';
import { ingestVariables } from '../consumers/ingest.js';
import { produce as produceSource } from '../produce.js';
import { openCommandBroker } from './broker.js';
import type { RatingsCommand } from './command.js';

/** So many refused lines are told one by one. */
const maxTold = 1_000;

/** `produce`: sends a file of rating events of others to the topic `ratings`, and tells what the broker has of it. */
export const produce: RatingsCommand = {
  what: 'the sending',
  usage: `
  produce <file, or - for standard input> [--rate <n>]
                    send rating events of others (JSON array, JSON lines, CSV; gzip or not) to the topic ratings, at most
                    n a second; a run that was killed goes on where it was`,
  run: async (args, { folder, variables, brokerAddress }) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { rate: { type: 'string' } },
      allowPositionals: true,
    });
    const [path, ...more] = positionals;
    const rate = values.rate === undefined ? undefined : Number(values.rate);
    if (path === undefined || more.length > 0 || (rate !== undefined && !(rate > 0 && rate <= 1_000_000)))
      return 'usage';
    const { INGEST_ID_PREFIX: idPrefix } = variables({ INGEST_ID_PREFIX: ingestVariables.INGEST_ID_PREFIX });
    const source = await openSource(path);
    const broker = await openCommandBroker({ brokerAddress }, [incomingRatings]);
    const progress = startProgress({
      ...{ what: `rating: ${printable(source.name)}`, items: 'ratings', total: source.size ?? 0 },
      shown: process.stdout.isTTY,
    });
    let told = 0;
    const onRefused = (record: string, reason: string) => {
      told += 1;
      if (told <= maxTold) process.stderr.write(`refused ${printable(`${record}: ${reason}`)}\n`);
    };
    await broker.part.start();
    try {
      const done = await produceSource({ broker, folder, progress, onRefused }, source, {
        idPrefix,
        rate,
      }).finally(() => progress.stop());
      if (done.skipped > 0) say(`${done.skipped} lines were done by an earlier run.`);
      say(`${done.sent} ratings sent, ${done.refused} lines refused.`);
      for (const [partition, { first, last, count }] of [...done.partitions].sort(([a], [b]) => a - b))
        say(`  ${incomingRatings.name}/${partition}: ${count}, offsets ${first} to ${last}`);
      return 0;
    } catch (error) {
      if (error instanceof StartError || error instanceof BrokerRefused || broker.answers()) throw error;
      throw new StartError('The broker is away. What it has taken stays; run it again, it goes on there.', {
        cause: error,
      });
    } finally {
      await broker.part.stop();
    }
  },
};

const say = (line: string) => process.stdout.write(`${line}\n`);
