import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kafkaVersion } from './download.js';
import { execute, exitOf, type KafkaProcess } from './process.js';
import {
  brokerSettings,
  clusterIdOf,
  listenerSettings,
  type KafkaNode,
  type KafkaOptions,
} from './settings.js';

/**
 * Returns the broker of `directory` as a container of Apache Kafka's image, with its data in a named volume.
 */
export const dockerProcess = (
  directory: string,
  member: KafkaNode,
  { secure = {} }: KafkaOptions,
): KafkaProcess => {
  const name = `cinegraph-kafka-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`;
  const outputFile = join(directory, 'kafka.out');
  const docker = (...args: readonly string[]) => execute('docker', args);
  const remove = () => docker('rm', '--force', name).catch(() => undefined);
  return {
    endAbandoned: async () => {
      await remove();
    },
    launch: async (ports) => {
      const published = [ports.broker, ...(ports.secure ? [ports.secure] : [])];
      // The nodes of a cluster reach each other only over the network of the machine.
      const shared = ports.controllers.length > 1;
      // The port is the same inside the container: the broker connects to itself at its advertised address.
      const environment = {
        ...brokerSettings(member, ports),
        ...listenerSettings(member, ports, secure, shared ? '127.0.0.1' : '0.0.0.0'),
        'log.dirs': '/var/lib/kafka/data',
      };
      const output = await open(outputFile, 'w', 0o600);
      const child = spawn(
        'docker',
        [
          ...['run', '--rm', '--name', name, '--volume', `${name}:/var/lib/kafka/data`],
          ...(shared
            ? ['--network', 'host']
            : published.flatMap((port) => ['--publish', `127.0.0.1:${port}:${port}`])),
          ...['--env', `CLUSTER_ID=${clusterIdOf(member)}`, '--env', 'KAFKA_HEAP_OPTS=-Xmx512m'],
          ...Object.entries(environment).flatMap(([setting, value]) => [
            '--env',
            `KAFKA_${setting.toUpperCase().replaceAll('-', '___').replaceAll('.', '_')}=${value}`,
          ]),
          `apache/kafka:${kafkaVersion}`,
        ],
        { detached: true, stdio: ['ignore', output.fd, output.fd] },
      );
      await output.close();
      return {
        exited: exitOf(child),
        signal: async (signal) => {
          await docker('kill', '--signal', signal, name).catch(() => undefined);
        },
        output: () => readFile(outputFile, 'utf8').catch(() => ''),
      };
    },
    empty: async () => {
      await remove();
      await docker('volume', 'rm', '--force', name);
    },
  };
};
