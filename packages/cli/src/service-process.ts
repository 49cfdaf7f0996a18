import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { StartError } from '@cinegraph/service/start-error';
import type { ReadyMessage } from '@cinegraph/service/run-service';
import { readServiceLine, say } from './console.js';

/** A service that runs as a process of its own and is started again when it dies. */
export interface ServiceProcess {
  readonly name: string;
  /** Where it answers; the same after each restart. */
  readonly url: string;
  /** Lets it finish what is under way; resolves when the process is gone. */
  stop(): Promise<void>;
}

/** What a service is started with. */
export interface ServiceOptions {
  readonly name: string;
  /** Its compiled entry. */
  readonly main: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where it listens at first; 0 lets the system choose. */
  readonly port: number;
  /** Called when it keeps dying, with the reason; it is not started again then. */
  readonly onGivenUp: (error: StartError) => void;
  /** Once aborted, nothing is started (again). */
  readonly signal: AbortSignal;
  /** How long it may take until it answers, in milliseconds; a minute unless set. */
  readonly readyWithinMs?: number;
}

/** A service that dies so often within the time is given up. */
const deathsToGiveUp = 5;
const deathsWithinMs = 60_000;
const firstDelayMs = 250;
const longestDelayMs = 8_000;
/** How long one may take to stop that has not said yet how long it takes. */
const drainBeforeReadyMs = 10_000;
/** Beyond its own bound, at which it ends by itself. */
const stopMarginMs = 2_000;

/**
 * Starts a service and waits until it answers. One that ends before that is not tried again: its own words are thrown
 * as a StartError. One that dies later is started again on its port, each time after a longer pause, until it has died
 * five times within a minute; one that does not get ready in time is ended, which counts as a death. It ends by itself
 * when this process is gone, however that ends.
 */
export const startService = async (options: ServiceOptions): Promise<ServiceProcess> => {
  const { name, signal, onGivenUp } = options;
  const deaths: number[] = [];
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let current = spawnService(options, options.port);
  const stop = async () => {
    stopping = true;
    clearTimeout(timer);
    await current.stop();
  };
  const url = await Promise.race([current.ready, aborted(signal)]).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const port = Number(new URL(url).port);

  const restartWhenDead = async () => {
    const reason = await current.gone;
    if (stopping || signal.aborted) return;
    const now = Date.now();
    deaths.push(now);
    const recent = deaths.filter((time) => now - time < deathsWithinMs).length;
    if (recent >= deathsToGiveUp) {
      onGivenUp(new StartError(`${name} keeps dying (${recent} times within a minute): ${reason}`));
      return;
    }
    const delayMs = Math.min(firstDelayMs * 2 ** (recent - 1), longestDelayMs);
    say(`${name} died (${reason}); starting it again in ${delayMs / 1000} s`);
    timer = setTimeout(() => {
      current = spawnService(options, port);
      current.ready.then(
        () => say(`${name} is back`),
        () => undefined,
      );
      void restartWhenDead();
    }, delayMs);
  };
  void restartWhenDead();
  return { name, url, stop };
};

/** Rejects when the signal is aborted, at once if it is already. */
export const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const end = () => reject(new Error('asked to stop'));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });

const spawnService = ({ name, main, env, readyWithinMs = 60_000 }: ServiceOptions, port: number) => {
  const child = spawn(process.execPath, ['--enable-source-maps', main], {
    env: { ...env, PORT: String(port), OTEL_SERVICE_NAME: name },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Its own process group: a terminal's Ctrl-C is for us, who stop the services in their order.
    detached: true,
  });
  let lastFailure = '';
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      const { shown, message, failure } = readServiceLine(name, line);
      if (failure) lastFailure = message;
      say(shown);
    });
  }
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    // `close`, not `exit`: by then its last words have been read.
    child.once('close', (code, signal) =>
      resolve(lastFailure || (signal ? `ended by ${signal}` : `exit code ${code}`)),
    );
  });
  let drainMs = drainBeforeReadyMs;
  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<string>((resolve, reject) => {
    child.on('message', (message) => {
      const told = message as Partial<ReadyMessage>;
      if (told.type !== 'ready' || told.url === undefined) return;
      drainMs = told.drainMs ?? drainMs;
      resolve(told.url);
    });
    timer = setTimeout(() => {
      const late = `did not get ready within ${readyWithinMs / 1000} s`;
      lastFailure = lastFailure === '' ? late : `${late}: ${lastFailure}`;
      reject(new StartError(`${name} ${lastFailure}`));
      child.kill('SIGKILL');
    }, readyWithinMs);
    void gone.then((reason) => reject(new StartError(`${name} could not start: ${reason}`)));
  }).finally(() => clearTimeout(timer));
  // Nobody waits for it any more when we stop first.
  ready.catch(() => undefined);
  return {
    ready,
    gone,
    stop: async () => {
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), drainMs + stopMarginMs);
      await gone;
      clearTimeout(kill);
    },
  };
};
