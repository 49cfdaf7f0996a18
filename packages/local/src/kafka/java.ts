import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '@cinegraph/service/start-error';
import { exists } from '../exists.js';
import type { KafkaProgram } from './download.js';
import { execute, exitOf, type KafkaProcess } from './process.js';
import {
  brokerSettings,
  clusterIdOf,
  listenerSettings,
  type KafkaNode,
  type KafkaOptions,
  type KafkaPorts,
} from './settings.js';

const stopTimeoutMs = 20_000;

/**
 * Returns the broker of `directory` as a Java process that runs the downloaded jars. It has a process group
 * of its own, so that Ctrl-C in a terminal does not reach it.
 */
export const javaProcess = (
  directory: string,
  program: KafkaProgram & { kind: 'java' },
  member: KafkaNode,
  { secure = {}, shortLived = false }: KafkaOptions,
): KafkaProcess => {
  const log = join(directory, 'log');
  const properties = join(directory, 'server.properties');
  const pidFile = join(directory, 'kafka.pid');
  const outputFile = join(directory, 'kafka.out');
  const classes = join(program.jars, '*');

  const writeProperties = (ports: KafkaPorts, folder: string) =>
    writeFile(
      properties,
      propertiesText({
        ...brokerSettings(member, ports),
        ...listenerSettings(member, ports, secure, '127.0.0.1'),
        'log.dirs': folder,
      }),
    );

  /**
   * Formats the log in a temporary folder and renames it, so that a kill never leaves a half-formatted log.
   */
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
      throw new StartError(`Kafka's log in ${directory} could not be created: ${lastLine(error)}`, {
        cause: error,
      });
    });
    await rename(fresh, log);
  };

  return {
    endAbandoned: async () => {
      const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
      for (let waitedMs = 0; pid > 0 && (await isBroker(pid, properties)); waitedMs += 50) {
        if (waitedMs === 0) process.kill(pid, 'SIGTERM');
        if (waitedMs === stopTimeoutMs) process.kill(pid, 'SIGKILL');
        await delay(50);
      }
    },
    launch: async (ports) => {
      await mkdir(directory, { recursive: true });
      await format(ports);
      await writeProperties(ports, log);
      const output = await open(outputFile, 'w', 0o600);
      const child = spawn(
        program.java,
        [
          ...['-Xmx512m', '-XX:+UseSerialGC', ...(shortLived ? ['-XX:TieredStopAtLevel=1'] : [])],
          ...['-cp', classes, 'kafka.Kafka', properties],
        ],
        { detached: true, cwd: directory, stdio: ['ignore', output.fd, output.fd] },
      );
      await output.close();
      const exited = exitOf(child);
      await writeFile(pidFile, String(child.pid ?? ''));
      return {
        exited,
        signal: async (name) => void child.kill(name),
        output: () => readFile(outputFile, 'utf8').catch(() => ''),
      };
    },
    empty: () => rm(log, { recursive: true, force: true }),
  };
};

const propertiesText = (values: Readonly<Record<string, string | number>>) =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${escaped(String(value))}\n`)
    .join('');

/** Escapes backslashes and all characters beyond ASCII, as the format of Java properties requires. */
const escaped = (text: string) =>
  text
    .replaceAll('\\', '\\\\')
    .replace(/[^ -~]/gu, (letter) =>
      [...Array(letter.length).keys()]
        .map((index) => `\\u${letter.charCodeAt(index).toString(16).padStart(4, '0')}`)
        .join(''),
    );

/**
 * Whether the process is the broker with these properties. Its number may belong to another program by now.
 */
const isBroker = async (pid: number, properties: string): Promise<boolean> => {
  const command =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      : await execute('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => '');
  return command.includes('kafka.Kafka') && command.includes(properties);
};

const lastLine = (error: unknown): string => {
  const { stderr = '', message = '' } = error as { stderr?: string; message?: string };
  return (stderr.trim() || message).split('\n').at(-1) ?? '';
};
