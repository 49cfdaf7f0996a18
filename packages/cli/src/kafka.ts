import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnv } from '@cinegraph/service/env';
import { StartError, UsageError } from '@cinegraph/service/start-error';
import { reasonOf, say } from '@cinegraph/service/terminal';
import { removeKafkaServer, startKafkaServer } from '@cinegraph/local/kafka/server';
import { z } from 'zod';
import { takeLock } from '../bootstrap/lock.mjs';
import { takeDataOption } from '../bootstrap/options.mjs';
import { root } from './graph.js';
import { aborted } from './start/service-process.js';

/**
 * The command `kafka`: runs until `signal` is aborted (returns 0) or the broker ends by itself (throws a
 * StartError).
 */
export const kafka = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const { port, reset } = readOptions(rest);
  const { XDG_CACHE_HOME, JAVA_HOME } = readEnv(
    { XDG_CACHE_HOME: z.string().optional(), JAVA_HOME: z.string().optional() },
    process.env,
  );
  const installation = { cacheHome: XDG_CACHE_HOME, javaHome: JAVA_HOME };
  const directory = join(data, 'kafka');
  const { release, holder } = await takeLock(join(data, 'kafka.lock'), 'kafka');
  if (holder) {
    throw new StartError(
      `${directory} is in use: process ${holder.pid} runs Kafka on it. Stop that process first, or start a second Kafka with --data <folder> --port <port>.`,
    );
  }
  try {
    if (reset) {
      await removeKafkaServer(directory, installation);
      say('all data of Kafka removed');
    }
    const server = await startKafkaServer({ ...installation, directory, port, onProgress: say });
    if (!signal.aborted) {
      say(
        `Apache Kafka is ready. Services use it with\n\n  KAFKA_BROKERS=${server.brokers.join(',')} npm start\n`,
      );
      say('Ctrl-C stops it.');
    }
    const died = server.died.then(() => {
      throw new StartError(`Apache Kafka ended by itself; ${join(directory, 'kafka.out')} says why.`);
    });
    try {
      await Promise.race([died, aborted(signal).catch(() => undefined)]);
    } finally {
      say('stopping');
      await server.stop();
    }
  } finally {
    release();
  }
  say('stopped');
  return 0;
};

const readOptions = (args: readonly string[]) => {
  const { port, reset } = parse(args);
  if (!/^\d+$/u.test(port) || Number(port) > 65_535) {
    throw new UsageError(`--port must be a number from 0 to 65535, not "${port}".`);
  }
  return { port: Number(port), reset };
};

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string', default: '9092' },
        reset: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    const [sentence] = reasonOf(error).split('. ');
    throw new UsageError(`${sentence ?? ''}. For the options, see: npm run kafka -- --help`, {
      cause: error,
    });
  }
};
