import { execFile, type ChildProcess } from 'node:child_process';
import { promisify } from 'node:util';
import type { KafkaPorts } from './settings.js';

/** One way to run the broker of a directory: as a Java process, or as a container. */
export interface KafkaProcess {
  /** Stops a broker that a killed process of ours left running on this directory. */
  readonly endAbandoned: () => Promise<void>;
  /** Creates the data if it is missing, and starts the broker on these free ports. */
  readonly launch: (ports: KafkaPorts) => Promise<RunningKafka>;
  /** Removes all data. The broker must not be running. */
  readonly empty: () => Promise<void>;
}

/** A launched broker, which may not be ready yet. */
export interface RunningKafka {
  readonly exited: Promise<void>;
  /** Sends SIGTERM, after which the broker closes its log, or SIGKILL. */
  readonly signal: (name: 'SIGTERM' | 'SIGKILL') => Promise<void>;
  /** Returns what the broker has printed. */
  readonly output: () => Promise<string>;
}

/** Resolves when the process has exited, or could not be started. */
export const exitOf = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });

/** Runs a program to its end and returns its standard output. Rejects on a non-zero exit code. */
export const execute = async (command: string, args: readonly string[]): Promise<string> =>
  (await run(command, [...args], { timeout: 120_000, maxBuffer: 10_000_000 })).stdout;

const run = promisify(execFile);
