import { createServer } from 'node:net';
import { mkdir } from 'node:fs/promises';
import { resolve as resolvePath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { StartError } from '@cinegraph/service/start-error';
import {
  dockerProcess,
  javaProcess,
  type KafkaNode,
  type KafkaPorts,
  type KafkaOptions,
  type RunningKafka,
} from './process.js';
import { ensureKafkaJars, findKafkaProgram, type KafkaInstallation, type KafkaProgram } from './download.js';

/** A real Apache Kafka of our own, one node or one of a cluster, on the loopback address. */
export interface KafkaServer {
  readonly port: number;
  /** What `KAFKA_BROKERS` has to be. */
  readonly brokers: readonly string[];
  /** The same of its listener with TLS and passwords; none where it has no such listener. */
  readonly secureBrokers: readonly string[];
  /** Resolves when the broker ends without having been asked to. */
  readonly died: Promise<void>;
  /** Ends the broker, which closes its log, and waits until it is gone. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash does (SIGKILL), and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port after `stop` or `kill`; `emptied`: as a broker that has lost its log. */
  restart(options?: { readonly emptied?: boolean }): Promise<void>;
}

const startTimeoutMs = 90_000;
const stopTimeoutMs = 20_000;

/**
 * Starts Apache Kafka on the data below `directory`, made there at first use: as a container where an engine answers, else
 * by Java, with jars that Maven fetches once. A broker that a killed process left behind on the same directory is
 * ended first; the caller sees to it that one process at a time starts one for a directory. `port` 0 is any free one.
 * Throws a {@link StartError} that says what is missing, that the port is taken, or why the broker ended.
 */
export const startKafkaServer = async (
  options: KafkaInstallation &
    KafkaOptions & {
      readonly directory: string;
      readonly port?: number;
      /** Of a cluster, whose nodes are started at once: none is ready before all are. A cluster of its own unless told. */
      readonly member?: KafkaNode & Pick<KafkaPorts, 'controllers'>;
      readonly onProgress?: (what: string) => void;
    },
): Promise<KafkaServer> => {
  const { onProgress = () => undefined } = options;
  const directory = resolvePath(options.directory);
  const program = await findKafkaProgram(options);
  if (program.kind === 'none') {
    throw new StartError(
      `${program.missing} Install one of them, or set KAFKA_BROKERS to a Kafka of your own.`,
    );
  }
  if (program.kind === 'java') await ensureKafkaJars(program.jars, onProgress);
  await mkdir(directory, { recursive: true });
  const kafka = processOf(directory, program, options);
  await kafka.endAbandoned();

  const wanted = options.port ?? 0;
  const port = wanted === 0 ? await freePort() : wanted;
  const secure = options.secure && (await freePort());
  let running: RunningKafka | undefined;
  let onDied = (): void => undefined;
  const died = new Promise<void>((resolve) => (onDied = resolve));

  const launch = async () => {
    await assertFree(port);
    onProgress('starting Apache Kafka');
    const controllers = options.member?.controllers ?? [await freePort()];
    const launched = await kafka.launch({ broker: port, controllers, secure });
    running = launched;
    const exited = launched.exited.then(() => {
      if (running !== launched) return;
      running = undefined;
      onDied();
    });
    const end = performance.now() + startTimeoutMs;
    while ((await brokersKnownTo(port)) < controllers.length) {
      if (running !== launched || performance.now() > end) {
        running = undefined;
        const said = (await launched.said()).trim().split('\n');
        await launched.signal('SIGKILL');
        await exited;
        const why = said.findLast((line) => /ERROR|Exception|error/u.test(line)) ?? said.at(-1) ?? '';
        throw new StartError(`Apache Kafka in ${directory} does not start: ${why.slice(0, 500)}`);
      }
      await Promise.race([delay(100), exited]);
    }
  };

  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const ending = running;
    running = undefined;
    if (!ending) return;
    await ending.signal(signal);
    const timer = setTimeout(() => void ending.signal('SIGKILL'), stopTimeoutMs);
    await ending.exited;
    clearTimeout(timer);
  };

  await launch();
  return {
    port,
    brokers: [`127.0.0.1:${port}`],
    secureBrokers: secure === undefined ? [] : [`127.0.0.1:${secure}`],
    died,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    restart: async ({ emptied = false } = {}) => {
      if (running) throw new Error('the broker runs: stop or kill it first');
      if (emptied) await kafka.empty();
      await launch();
    },
  };
};

/** Ends the broker of `directory`, if one runs, and removes all its data. */
export const removeKafkaServer = async (directory: string, places: KafkaInstallation = {}): Promise<void> => {
  const program = await findKafkaProgram(places);
  if (program.kind === 'none') return;
  const kafka = processOf(resolvePath(directory), program);
  await kafka.endAbandoned();
  await kafka.empty();
};

const processOf = (
  directory: string,
  program: Exclude<KafkaProgram, { kind: 'none' }>,
  {
    member = { node: 1, cluster: directory },
    ...wishes
  }: KafkaOptions & { readonly member?: KafkaNode | undefined } = {},
) =>
  program.kind === 'java'
    ? javaProcess(directory, program, member, wishes)
    : dockerProcess(directory, member, wishes);

/** How many brokers, itself among them, the one at this port knows as members of its cluster; 0 while it does not answer. */
const brokersKnownTo = async (port: number): Promise<number> => {
  const admin = new Kafka({
    brokers: [`127.0.0.1:${port}`],
    connectionTimeout: 2_000,
    requestTimeout: 2_000,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
  }).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length;
  } catch {
    return 0;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
};

const assertFree = async (port: number): Promise<void> => {
  await listen(port).catch((error: unknown) => {
    throw new StartError(
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? `Port ${port} is taken by another program. Choose another one: npm run kafka -- --port ${port < 65_535 ? port + 1 : 0}`
        : `Kafka cannot listen on port ${port}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  });
};

/** A port on which nothing listens at the moment. */
export const freePort = (): Promise<number> => listen(0);

/** Listens there for a moment; answers the port. */
const listen = (port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
