import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { isAlive } from '@cinegraph/local/process-alive';
import { readEnv } from '@cinegraph/service/env';
import type { KafkaOptions } from '@cinegraph/local/kafka/settings';
import { findKafkaProgram } from '@cinegraph/local/kafka/download';
import { freePort } from '@cinegraph/local/free-port';
import { removeKafkaServer, startKafkaServer, type KafkaServer } from '@cinegraph/local/kafka/server';

const prefix = 'cinegraph-kafka-test-';

/**
 * Starts a real Apache Kafka for one test file, on a free port and in a new temporary folder; `stop` removes
 * it with its data. Brokers of earlier runs that were killed are stopped and removed first. The broker is
 * short-lived by default.
 */
export const startTestKafka = async (options: KafkaOptions = {}): Promise<KafkaServer> => {
  await removeAbandoned();
  return startNode(options);
};

/** Starts a cluster of three nodes, each of which can be killed and restarted. Topics have three replicas. */
export const startTestKafkaCluster = async (): Promise<readonly KafkaServer[]> => {
  await removeAbandoned();
  const controllers = await Promise.all([freePort(), freePort(), freePort()]);
  const cluster = randomUUID();
  return Promise.all(
    controllers.map((_port, at) => startNode({ member: { node: at + 1, cluster, controllers } })),
  );
};

const startNode = async (
  options: KafkaOptions & Pick<Parameters<typeof startKafkaServer>[0], 'member'>,
): Promise<KafkaServer> => {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  await writeFile(join(directory, 'owner'), String(process.pid));
  const server = await startKafkaServer({ ...installation(), shortLived: true, ...options, directory });
  return {
    ...server,
    stop: async () => {
      await server.kill();
      await removeKafkaServer(directory, installation());
      await rm(directory, { recursive: true, force: true });
    },
  };
};

/** Returns why Kafka's tests cannot run on this machine, or `undefined` if they can. */
export const kafkaMissing = (): string | undefined =>
  readEnv({ TEST_KAFKA_MISSING: z.string().optional() }, process.env).TEST_KAFKA_MISSING;

/** Checks once per run, before the workers start, and prints one line if Kafka cannot run. */
export const lookForKafka = async (): Promise<void> => {
  const program = await findKafkaProgram(installation());
  if (program.kind !== 'none') return;
  process.env['TEST_KAFKA_MISSING'] = program.missing;
  process.stderr.write(`The Kafka tests are not run. ${program.missing}\n`);
};

const installation = () => {
  const { XDG_CACHE_HOME, JAVA_HOME } = readEnv(
    { XDG_CACHE_HOME: z.string().optional(), JAVA_HOME: z.string().optional() },
    process.env,
  );
  return { cacheHome: XDG_CACHE_HOME, javaHome: JAVA_HOME };
};

const removeAbandoned = async (): Promise<void> => {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(tmpdir(), name);
    const owner = Number(await readFile(join(directory, 'owner'), 'utf8').catch(() => ''));
    if (owner <= 0 || isAlive(owner)) continue;
    await removeKafkaServer(directory, installation());
    await rm(directory, { recursive: true, force: true });
  }
};
