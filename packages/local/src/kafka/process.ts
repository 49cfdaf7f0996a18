import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { StartError } from '@cinegraph/service/start-error';
import { kafkaVersion, type KafkaProgram } from './download.js';

/** One way to run the broker of a folder. */
export interface KafkaProcess {
  /** Ends a broker that a killed process of ours left behind on this folder. */
  readonly endAbandoned: () => Promise<void>;
  /** Makes what is missing of the data, and starts the broker on these free ports. */
  readonly launch: (ports: KafkaPorts) => Promise<RunningKafka>;
  /** Removes all data; the broker must not run. */
  readonly empty: () => Promise<void>;
}

/** All on the loopback address. */
export interface KafkaPorts {
  readonly broker: number;
  /** Of all nodes of the cluster, in their order; of a broker by itself the one. */
  readonly controllers: readonly number[];
  /** Of the listener SECURE, where there is one. */
  readonly secure?: number | undefined;
}

/** Settings of a further listener SECURE with TLS and passwords, without their prefix `listener.name.secure.`. */
export type SecureListener = Readonly<Record<string, string>>;

/** What a broker is started with beyond what all are. */
export interface KafkaOptions {
  /** A further listener, as a managed Kafka has it; for tests of how clients connect. */
  readonly secure?: SecureListener | undefined;
  /** Java compiles less: it is there sooner, with less of the processor, and slower once it has run for long. */
  readonly shortLived?: boolean | undefined;
}

/** Which node of a cluster a broker is: its number, from 1, and what they all name the cluster by. */
export interface KafkaNode {
  readonly node: number;
  readonly cluster: string;
}

/** A broker that was launched, ready or not. */
export interface RunningKafka {
  readonly exited: Promise<void>;
  /** SIGTERM: it closes its log; SIGKILL where it does not end by that. */
  readonly signal: (name: 'SIGTERM' | 'SIGKILL') => Promise<void>;
  /** The last of what it said. */
  readonly said: () => Promise<string>;
}

/** Settings that both ways share: each topic on up to three nodes, at once ready, and small. */
const settingsOf = ({ node }: KafkaNode, { controllers }: KafkaPorts) => {
  const replicas = Math.min(3, controllers.length);
  const inSync = replicas === 3 ? 2 : 1;
  return {
    'process.roles': 'broker,controller',
    'node.id': node,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': controllers.map((port, at) => `${at + 1}@127.0.0.1:${port}`).join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 8,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    // So long does a member that was killed keep its partitions.
    // packages/messaging asks for sessions of this length, so that a killed consumer is replaced soon.
    'group.min.session.timeout.ms': 2_000,
    // After a kill the broker waits for the end of its own session of before.
    'broker.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 2_000,
    // Topics have settings of their own here: none appears by a misspelt name.
    'auto.create.topics.enable': 'false',
    'num.partitions': 8,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
  };
};

/** What the listeners need, at addresses as a process or a container has them. */
const listenersOf = (
  { node }: KafkaNode,
  { broker, controllers, secure }: KafkaPorts,
  own: SecureListener,
  host: string,
) => {
  const advertised = [`PLAINTEXT://127.0.0.1:${broker}`, ...(secure ? [`SECURE://127.0.0.1:${secure}`] : [])];
  return {
    listeners: [
      ...advertised.map((address) => address.replace('127.0.0.1', host)),
      `CONTROLLER://127.0.0.1:${controllers[node - 1]}`,
    ].join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    ...Object.fromEntries(
      Object.entries(own).map(([name, value]) => [`listener.name.secure.${name}`, value] as const),
    ),
  };
};

/** Runs the jars in a process of its own, in a session of its own: a terminal's Ctrl-C does not reach it. */
export const javaProcess = (
  directory: string,
  program: KafkaProgram & { kind: 'java' },
  member: KafkaNode,
  { secure = {}, shortLived = false }: KafkaOptions,
): KafkaProcess => {
  const log = join(directory, 'log');
  const properties = join(directory, 'server.properties');
  const pidFile = join(directory, 'kafka.pid');
  const said = join(directory, 'kafka.out');
  const classes = join(program.jars, '*');

  const writeProperties = (ports: KafkaPorts, folder: string) =>
    writeFile(
      properties,
      textOf({
        ...settingsOf(member, ports),
        ...listenersOf(member, ports, secure, '127.0.0.1'),
        'log.dirs': folder,
      }),
    );

  /** Formatted beside its place and moved there whole: a kill leaves no half of a log behind. */
  const format = async (ports: KafkaPorts) => {
    if (await exists(log)) return;
    const fresh = `${log}.new`;
    await rm(fresh, { recursive: true, force: true });
    await writeProperties(ports, fresh);
    const tool = ['-cp', classes, 'kafka.tools.StorageTool'];
    await execute(program.java, [
      ...['-XX:TieredStopAtLevel=1', ...tool, 'format'],
      ...['--cluster-id', clusterIdOf(member), '--config', properties],
    ]).catch((error: unknown) => {
      throw new StartError(`Kafka's log in ${directory} could not be made: ${lastLine(error)}`, {
        cause: error,
      });
    });
    await rename(fresh, log);
  };

  return {
    endAbandoned: async () => {
      const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
      for (let waited = 0; pid > 0 && (await runs(pid, properties)); waited += 50) {
        if (waited === 0 || waited === 20_000) process.kill(pid, waited === 0 ? 'SIGTERM' : 'SIGKILL');
        await delay(50);
      }
    },
    launch: async (ports) => {
      await mkdir(directory, { recursive: true });
      await format(ports);
      await writeProperties(ports, log);
      const output = await open(said, 'w', 0o600);
      const child = spawn(
        program.java,
        [
          ...['-Xmx512m', '-XX:+UseSerialGC', ...(shortLived ? ['-XX:TieredStopAtLevel=1'] : [])],
          ...['-cp', classes, 'kafka.Kafka', properties],
        ],
        { detached: true, cwd: directory, stdio: ['ignore', output.fd, output.fd] },
      );
      await output.close();
      const exited = endOf(child);
      await writeFile(pidFile, String(child.pid ?? ''));
      return {
        exited,
        signal: async (name) => void child.kill(name),
        said: () => readFile(said, 'utf8').catch(() => ''),
      };
    },
    empty: () => rm(log, { recursive: true, force: true }),
  };
};

/** Runs the image of Apache Kafka; its data is in a volume named after the directory. */
export const dockerProcess = (
  directory: string,
  member: KafkaNode,
  { secure: own = {} }: KafkaOptions,
): KafkaProcess => {
  const name = `cinegraph-kafka-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`;
  const docker = (...args: readonly string[]) => execute('docker', args);
  const remove = () => docker('rm', '--force', name).catch(() => undefined);
  return {
    endAbandoned: async () => {
      await remove();
    },
    launch: async (ports) => {
      const published = [ports.broker, ...(ports.secure ? [ports.secure] : [])];
      // Nodes of a cluster have to reach each other: by the network of this machine.
      const shared = ports.controllers.length > 1;
      // The same port within: the broker, too, reaches itself by the address that it tells.
      const environment = {
        ...settingsOf(member, ports),
        ...listenersOf(member, ports, own, shared ? '127.0.0.1' : '0.0.0.0'),
        'log.dirs': '/var/lib/kafka/data',
      };
      const output = await open(join(directory, 'kafka.out'), 'w', 0o600);
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
        exited: endOf(child),
        signal: async (signal) => {
          await docker('kill', '--signal', signal, name).catch(() => undefined);
        },
        said: () => readFile(join(directory, 'kafka.out'), 'utf8').catch(() => ''),
      };
    },
    empty: async () => {
      await remove();
      await docker('volume', 'rm', '--force', name);
    },
  };
};

const textOf = (values: Readonly<Record<string, string | number>>) =>
  Object.entries(values)
    // A backslash and what is not Latin-1 are escaped in properties.
    .map(([name, value]) => `${name}=${escaped(String(value))}\n`)
    .join('');

const escaped = (text: string) =>
  text
    .replaceAll('\\', '\\\\')
    .replace(/[^ -~]/gu, (letter) =>
      [...Array(letter.length).keys()]
        .map((index) => `\\u${letter.charCodeAt(index).toString(16).padStart(4, '0')}`)
        .join(''),
    );

/** 16 bytes in base64url, as Kafka names a cluster; the same for a name each time. */
const clusterIdOf = ({ cluster }: KafkaNode) =>
  createHash('sha256').update(cluster).digest().subarray(0, 16).toString('base64url').replace(/^-/u, 'A');

const endOf = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });

/** Whether that process still is the broker with these properties, and no other that got its number since. */
const runs = async (pid: number, properties: string): Promise<boolean> => {
  const words =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      : await execute('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => '');
  return words.includes('kafka.Kafka') && words.includes(properties);
};

const run = promisify(execFile);

const execute = async (command: string, args: readonly string[]): Promise<string> =>
  (await run(command, [...args], { timeout: 120_000, maxBuffer: 10_000_000 })).stdout;

const lastLine = (error: unknown): string => {
  const { stderr = '', message = '' } = error as { stderr?: string; message?: string };
  return (stderr.trim() || message).split('\n').at(-1) ?? '';
};

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
