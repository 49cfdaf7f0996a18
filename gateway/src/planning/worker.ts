import { types } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { PlanReply, PlanRequest, WorkerReady, WorkerSettings } from './messages.js';
import { threadClock } from './thread.js';

/** A worker thread that plans one operation at a time. */
export interface PlanningWorker {
  /**
   * Plans an operation; called only while no other is being planned. Rejects if the worker ends before, with
   * the error that ended it. It holds the process until then.
   */
  readonly plan: (request: PlanRequest) => Promise<PlanReply>;
  /** A clock of the time in ms that the worker was busy. */
  readonly busyMs: () => number;
  /** The heap in MiB after the supergraph was built. */
  readonly heapMiB: number;
  /** Resolves with the reason when the worker has ended. */
  readonly ended: Promise<Error>;
  /** Ends the worker, even while it plans. */
  readonly stop: () => Promise<void>;
}

/**
 * What a worker is started with. `heapMiB` limits its heap; if `signal` is aborted, its start is ended. For
 * `promptMs`, see WorkerSettings.
 */
export interface WorkerOptions {
  readonly url: URL;
  readonly sdl: string;
  readonly promptMs: number;
  readonly heapMiB: number;
  readonly signal: AbortSignal;
}

/** The heap of a worker with a supergraph of a few subgraphs. */
const usualHeapMiB = 24;

/** A supergraph that does not fit into this heap is not served. */
const largestHeapMiB = 4096;

/** Space for new objects; they are few or soon garbage, and a larger space only adds to the memory. */
const youngGenerationMiB = 8;

/**
 * Starts the first worker of a supergraph. Resolves with it and with the heap limit that this supergraph
 * needs, so that planning may use `memoryMiB` beside it. V8 takes the limit before the heap is known, so
 * that a large supergraph is started up to three times. Rejects with the worker's error if the supergraph
 * cannot be built.
 */
export const startFirstWorker = async (
  options: Omit<WorkerOptions, 'heapMiB'> & { memoryMiB: number },
): Promise<{ worker: PlanningWorker; heapMiB: number }> => {
  const { memoryMiB } = options;
  let heapMiB = usualHeapMiB + memoryMiB;
  for (;;) {
    try {
      const worker = await startWorker({ ...options, heapMiB });
      const neededMiB = Math.ceil(worker.heapMiB) + memoryMiB;
      if (neededMiB <= heapMiB || heapMiB >= largestHeapMiB) return { worker, heapMiB };
      await worker.stop();
      // A tenth more, because the heap is not the same at each start.
      heapMiB = Math.ceil(neededMiB * 1.1);
    } catch (error) {
      if (!isOutOfMemory(error) || heapMiB >= largestHeapMiB) throw error;
      heapMiB *= 2;
    }
  }
};

/**
 * Starts a worker and waits until it has built the supergraph. Rejects with the worker's error if it cannot,
 * and if that exceeds the heap limit.
 */
export const startWorker = async (options: WorkerOptions): Promise<PlanningWorker> => {
  const { url, sdl, promptMs, heapMiB, signal } = options;
  const settings: WorkerSettings = { sdl, promptMs };
  const thread = new Worker(url, {
    name: 'planner',
    workerData: settings,
    // It needs neither the secrets in the environment nor what was preloaded into the main thread.
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: youngGenerationMiB },
  });
  let receive: ((message: unknown) => void) | undefined;
  let fail: ((error: Error) => void) | undefined;
  const ended = new Promise<Error>((resolve) => {
    thread.once('error', (error) => resolve(toError(error)));
    thread.once('exit', (code) => resolve(new Error(`the planning worker ended with code ${code}`)));
  });
  thread.on('message', (message) => receive?.(message));
  void ended.then((error) => fail?.(error));
  const nextMessage = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      receive = resolve;
      fail = reject;
    });
  const stop = async (): Promise<void> => {
    await thread.terminate();
  };
  const abort = (): void => void stop();
  signal.addEventListener('abort', abort);
  const { heapBytes, threadFolder } = (await nextMessage().finally(() =>
    signal.removeEventListener('abort', abort),
  )) as WorkerReady;
  thread.unref();
  return {
    heapMiB: heapBytes / 2 ** 20,
    busyMs: threadClock(threadFolder),
    ended,
    stop,
    plan: async (request) => {
      const reply = nextMessage();
      thread.ref();
      thread.postMessage(request);
      await reply.finally(() => thread.unref());
      return reply as Promise<PlanReply>;
    },
  };
};

/** Returns true if an error means that a worker ended because it exceeded its memory limit. */
export const isOutOfMemory = (error: unknown): boolean =>
  types.isNativeError(error) && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';

const toError = (error: unknown): Error => (types.isNativeError(error) ? error : new Error(String(error)));
