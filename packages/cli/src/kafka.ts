import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnv } from '@cinegraph/service/env';
import { StartError } from '@cinegraph/service/start-error';
import { removeKafkaServer, startKafkaServer } from '@cinegraph/local/kafka/server';
import { z } from 'zod';
import { takeLock } from '../bootstrap/lock.mjs';
import { takeDataOption } from '../bootstrap/options.mjs';
import { say } from './console.js';
import { root } from './graph.js';
import { aborted } from './service-process.js';

export const kafkaHelp = `Starts a real Apache Kafka on this machine, one node, and runs until Ctrl-C.

  npm run kafka                     on port 9092, its data in .data/kafka, which is kept
  npm run kafka -- --port <port>    on another port (0: any free one)
  npm run kafka -- --data <folder>  keep data in <folder>/kafka
  npm run kafka -- --reset          remove its data first
  npm run kafka -- --help           this

It needs Docker, or Java 17 or later and Maven, which fetches Kafka once (about 45 MB).
`;

/** The command `kafka`: runs until `signal` is aborted (answers 0) or the broker ends by itself (throws). */
export const kafka = async (args: readonly string[], signal: AbortSignal): Promise<number> => {
  const { data, rest } = takeDataOption(args, root);
  const { port, reset, help } = readOptions(rest);
  if (help) {
    say(kafkaHelp);
    return 0;
  }
  const { XDG_CACHE_HOME, JAVA_HOME } = readEnv(
    { XDG_CACHE_HOME: z.string().optional(), JAVA_HOME: z.string().optional() },
    process.env,
  );
  const places = { cacheHome: XDG_CACHE_HOME, javaHome: JAVA_HOME };
  const directory = join(data, 'kafka');
  const { release, holder } = await takeLock(join(data, 'kafka.lock'), 'kafka');
  if (holder) {
    throw new StartError(
      `${directory} is in use: process ${holder.pid} runs a Kafka on it. Stop that one first, or start a second with --data <folder> --port <port>.`,
    );
  }
  try {
    if (reset) {
      await removeKafkaServer(directory, places);
      say('all data of Kafka removed');
    }
    const server = await startKafkaServer({ ...places, directory, port, onProgress: say });
    if (!signal.aborted) {
      say(
        `Apache Kafka answers. Services use it with\n\n  KAFKA_BROKERS=${server.brokers.join(',')} npm start\n`,
      );
      say('Ctrl-C ends it.');
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
  const { port, reset, help } = parse(args);
  if (!/^\d+$/u.test(port) || Number(port) > 65_535) {
    throw new StartError(`--port must be a number from 0 to 65535, not "${port}".`);
  }
  return { port: Number(port), reset, help };
};

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string', default: '9092' },
        reset: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    const [sentence] = String(error instanceof Error ? error.message : error).split('. ');
    throw new StartError(`${sentence ?? ''}. What there is: npm run kafka -- --help`, { cause: error });
  }
};
