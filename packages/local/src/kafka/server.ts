import { mkdir } from 'node:fs/promises';
import { resolve as resolvePath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { freePort, probePort } from '../free-port.js';
import { dockerProcess } from './docker.js';
import { ensureKafkaJars, findKafkaProgram, type KafkaInstallation, type KafkaProgram } from './download.js';
import { javaProcess } from './java.js';
import type { RunningKafka } from './process.js';
import type { KafkaNode, KafkaOptions, KafkaPorts } from './settings.js';

/** A running Apache Kafka on the loopback address: a single node, or one node of a cluster. */
export interface KafkaServer {
  readonly port: number;
  /** The value for `KAFKA_BROKERS`. */
  readonly brokers: readonly string[];
  /** The address of the listener with TLS and SASL; empty if the broker has none. */
  readonly secureBrokers: readonly string[];
  /** Resolves if the broker exits without `stop` or `kill`. */
  readonly died: Promise<void>;
  /** Stops the broker, which closes its log, and waits until its process is gone. */
  stop(): Promise<void>;
  /** Ends the broker as a crash does (SIGKILL), and waits until its process is gone. */
  kill(): Promise<void>;
  /** Starts it on the same port after `stop` or `kill`; `emptied` removes its data first. */
  restart(options?: { readonly emptied?: boolean }): Promise<void>;
}

const startTimeoutMs = 90_000;
const stopTimeoutMs = 20_000;

/**
 * Starts Apache Kafka on the data below `directory`, which is created at first use: in a container if Docker
 * is available, otherwise by Java with jars that Maven downloads once. A broker that a killed process left
 * running on the same directory is stopped first. The caller ensures that one process at a time uses a
 * directory. `port` 0, the default, is any free port. Throws a {@link StartError} if a program is missing,
 * the port is taken, or the broker exits.
 */
export const startKafkaServer = async (
  options: KafkaInstallation &
    KafkaOptions & {
      readonly directory: string;
      readonly port?: number;
      /** The node of a cluster. All nodes must be started together: none is ready before all are. */
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

  const requestedPort = options.port ?? 0;
  const port = requestedPort === 0 ? await freePort() : requestedPort;
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
    const endsAt = performance.now() + startTimeoutMs;
    while ((await countBrokers(port)) < controllers.length) {
      if (running !== launched || performance.now() > endsAt) {
        running = undefined;
        const lines = (await launched.output()).trim().split('\n');
        await launched.signal('SIGKILL');
        await exited;
        const reason = lines.findLast((line) => /ERROR|Exception|error/u.test(line)) ?? lines.at(-1) ?? '';
        throw new StartError(`Apache Kafka in ${directory} does not start: ${reason.slice(0, 500)}`);
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
      if (running) throw new Error('The broker is running: stop or kill it first.');
      if (emptied) await kafka.empty();
      await launch();
    },
  };
};

/** Stops the broker of `directory`, if one is running, and removes all its data. */
export const removeKafkaServer = async (
  directory: string,
  installation: KafkaInstallation = {},
): Promise<void> => {
  const program = await findKafkaProgram(installation);
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
    ...options
  }: KafkaOptions & { readonly member?: KafkaNode | undefined } = {},
) =>
  program.kind === 'java'
    ? javaProcess(directory, program, member, options)
    : dockerProcess(directory, member, options);

/**
 * Returns the number of brokers in the cluster, as the one at this port knows it; 0 while it does not answer.
 * kafkajs is used only here outside packages/messaging: with the jars as Maven delivers them the broker logs
 * errors alone, so it prints no line when it is ready, and Kafka's own tools need a Java process for every
 * question.
 */
const countBrokers = async (port: number): Promise<number> => {
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
  await probePort(port).catch((error: unknown) => {
    throw new StartError(
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? `Port ${port} is taken by another program. Choose another one: npm run kafka -- --port ${port < 65_535 ? port + 1 : 0}`
        : `Kafka cannot listen on port ${port}: ${reasonOf(error)}`,
      { cause: error },
    );
  });
};
