import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { backoffMs } from '@cinegraph/service/backoff';
import type { ReadyMessage } from '@cinegraph/service/run-service';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import { createServiceConsole, readServiceLine } from './service-line.js';

/** A service that runs as a process of its own, and is started again when it dies. */
export interface ServiceProcess {
  readonly name: string;
  /** Its URL, which stays the same after a restart. */
  readonly url: string;
  /** Lets it finish its work in progress; resolves when the process has ended. */
  stop(): Promise<void>;
  /**
   * Stops it, and starts it again on its port; resolves when it is ready. Rejects with its last error if it
   * cannot start; then it is not started until the next call.
   */
  restart(): Promise<void>;
}

/** How to start a service. */
export interface ServiceOptions {
  readonly name: string;
  /** The path of its compiled entry. */
  readonly main: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The port on which it listens; 0 lets the system choose one at the first start. */
  readonly port: number;
  /** Called with the reason when the service repeatedly fails to start again, and is given up. */
  readonly onGivenUp: (error: StartError) => void;
  /** After it is aborted, nothing is started (again). */
  readonly signal: AbortSignal;
  /** How many milliseconds it may take to become ready; the default is one minute. */
  readonly readyWithinMs?: number;
}

/** A service that ends this many times in a row without becoming ready is not started again. */
const failuresToGiveUp = 5;
/** The delay before a restart grows with the deaths within this time. */
const deathsWithinMs = 60_000;
const restartBackoff = { firstMs: 250, longestMs: 8_000 };
/** How long a service may take to stop that was not ready yet, and so has not reported how long it takes. */
const drainBeforeReadyMs = 10_000;
/** How long to wait for the end of a service after the time that it reported. */
const stopMarginMs = 2_000;

/**
 * Starts a service and waits until it is ready. If it ends before that, it is not started again, and its last
 * error is thrown as a StartError. If it dies later, it is started again on its port after a growing delay.
 * If that fails five times in a row, it is given up; a restart that becomes ready begins the count again. A
 * service that does not become ready in time is killed, which is such a failure. A service ends by itself
 * when this process is gone.
 */
export const startService = async (options: ServiceOptions): Promise<ServiceProcess> => {
  const { name, signal, onGivenUp } = options;
  const deaths: number[] = [];
  let failures = 0;
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

  let retired: typeof current | undefined;
  const restartWhenDead = async () => {
    const watched = current;
    const reason = await watched.gone;
    if (stopping || signal.aborted || watched === retired) return;
    const now = Date.now();
    deaths.push(now);
    const recent = deaths.filter((time) => now - time < deathsWithinMs).length;
    if (failures >= failuresToGiveUp) {
      onGivenUp(new StartError(`${name} did not become ready ${failures} times in a row: ${reason}`));
      return;
    }
    const delayMs = backoffMs(recent - 1, restartBackoff);
    say(`${name} died (${reason}); starting it again in ${(delayMs / 1000).toFixed(2)} s`);
    timer = setTimeout(() => {
      current = spawnService(options, port);
      failures += 1;
      current.ready.then(
        () => {
          failures = 0;
          say(`${name} is back`);
        },
        () => undefined,
      );
      void restartWhenDead();
    }, delayMs);
  };
  const restart = async () => {
    retired = current;
    clearTimeout(timer);
    await retired.stop();
    if (stopping || signal.aborted) return;
    current = spawnService(options, port);
    await current.ready;
    failures = 0;
    void restartWhenDead();
  };
  void restartWhenDead();
  return { name, url, stop, restart };
};

/** Returns a promise that rejects when the signal is aborted, immediately if it is aborted already. */
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
    // A process group of its own, so that Ctrl-C in a terminal reaches only us: we stop the services in
    // order.
    detached: true,
  });
  let lastFailure = '';
  const show = createServiceConsole(say);
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      const read = readServiceLine(name, line);
      if (read.failure) lastFailure = read.message;
      show(read);
    });
  }
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    // `close`, not `exit`: by then all of its output has been read.
    child.once('close', (code, signal) =>
      resolve(lastFailure || (signal ? `ended by ${signal}` : `exit code ${code}`)),
    );
  });
  let drainMs = drainBeforeReadyMs;
  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<string>((resolve, reject) => {
    child.on('message', (message) => {
      const { type, url, drainMs: reported } = message as Partial<ReadyMessage>;
      if (type !== 'ready' || url === undefined) return;
      drainMs = reported ?? drainMs;
      resolve(url);
    });
    timer = setTimeout(() => {
      const late = `did not become ready within ${readyWithinMs / 1000} s`;
      lastFailure = lastFailure === '' ? late : `${late}: ${lastFailure}`;
      reject(new StartError(`${name} ${lastFailure}`));
      child.kill('SIGKILL');
    }, readyWithinMs);
    void gone.then((reason) => reject(new StartError(`${name} could not start: ${reason}`)));
  }).finally(() => clearTimeout(timer));
  // If the service is stopped first, nothing waits for this promise any more.
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
