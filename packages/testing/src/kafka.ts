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
 * A real Apache Kafka of one test file, on a free port and a new temporary folder; `stop` removes both.
 * Brokers of earlier runs that were killed are ended and removed first. Short-lived unless told otherwise.
 */
export const startTestKafka = async (options: KafkaOptions = {}): Promise<KafkaServer> => {
  await removeAbandoned();
  return startNode(options);
};

/**
 * The same with three nodes, each of which may be killed and restarted by itself. Topics are kept on all of
 * them.
 */
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
  const server = await startKafkaServer({ ...places(), shortLived: true, ...options, directory });
  return {
    ...server,
    stop: async () => {
      await server.kill();
      await removeKafkaServer(directory, places());
      await rm(directory, { recursive: true, force: true });
    },
  };
};

/** Why the Kafka tests of this run cannot be run; undefined where they are: `describe.skip` only then. */
export const kafkaMissing = (): string | undefined =>
  readEnv({ TEST_KAFKA_MISSING: z.string().optional() }, process.env).TEST_KAFKA_MISSING;

/** Looks once a run, before any worker starts, and says so in one line where there is no Kafka. */
export const lookForKafka = async (): Promise<void> => {
  const program = await findKafkaProgram(places());
  if (program.kind !== 'none') return;
  process.env['TEST_KAFKA_MISSING'] = program.missing;
  process.stderr.write(`The Kafka tests are not run. ${program.missing}\n`);
};

const places = () => {
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
    await removeKafkaServer(directory, places());
    await rm(directory, { recursive: true, force: true });
  }
};
