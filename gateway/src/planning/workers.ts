import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '@cinegraph/service/backoff';
import type { Logger } from '@cinegraph/service/logger';
import { watchBudget } from './budget.js';
import type { PlanReply, PlanRequest } from './messages.js';
import { isOutOfMemory, startFirstWorker, startWorker, type PlanningWorker } from './worker.js';

/** What became of a request. `tookMs` is the time for which the worker was busy with it. */
export interface Planned {
  readonly reply: PlanReply;
  readonly tookMs: number;
}

/** Two warm workers, and the queue in front of them. */
export interface PlanningWorkers {
  /**
   * Plans an operation. The reply to one that exceeds the budget of time or memory is `exceeded`. Resolves
   * with undefined at once if too many operations wait, and later if the machine is too busy to plan this
   * one. Rejects if the worker crashes, and after `stop`.
   */
  readonly plan: (request: PlanRequest) => Promise<Planned | undefined>;
  /** Ends the workers, and rejects what is being planned or waits. */
  readonly stop: () => Promise<void>;
}

/** What the workers are started with. Production uses 1,000 ms, 40 MiB and 1,000 ms (see planner.ts). */
export interface PlanningOptions {
  readonly url: URL;
  readonly sdl: string;
  readonly budgetMs: number;
  readonly memoryMiB: number;
  readonly promptMs: number;
  readonly logger: Logger;
}

interface Job {
  readonly request: PlanRequest;
  readonly resolve: (planned: Planned | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** A warm worker; `job` is what it plans, since `busySince`. */
interface Slot {
  readonly worker: PlanningWorker;
  job: Job | undefined;
  busySince: number;
}

/** A worker that has been busy for this long no longer keeps the other one from taking the next operation. */
const takeOverMs = 50;

/** The second worker starts this long after the first one, so that it does not delay the gateway's start. */
const secondWorkerDelayMs = 1_000;

/** Further operations are refused while this number waits: two seconds of ordinary work on one processor. */
const maxWaiting = 200;

/**
 * Starts the first worker, and resolves when it has built the supergraph; the second one starts afterwards.
 * Rejects with the worker's error if the supergraph cannot be built. An operation may use `budgetMs` of
 * processor time and `memoryMiB` beside the supergraph. Over either, that worker is ended, the other one
 * continues with the queue, and a new one starts. Each of the first two plans promptly for `promptMs`, see
 * WorkerSettings; a new one never does, so that ending workers gains nothing.
 */
export const startWorkers = async (options: PlanningOptions): Promise<PlanningWorkers> => {
  const { url, sdl, budgetMs, memoryMiB, promptMs, logger } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const isStopped = (): boolean => signal.aborted;
  const wait = (ms: number): Promise<void> =>
    delay(ms, undefined, { ref: false, signal }).catch(() => undefined);
  const queue: Job[] = [];
  const slots = new Set<Slot>();

  const keep = (worker: PlanningWorker): void => {
    const slot: Slot = { worker, job: undefined, busySince: 0 };
    slots.add(slot);
    void worker.ended.then((error) => {
      if (slots.delete(slot) && !slot.job && !isStopped())
        logger.error({ err: error }, 'an idle planning worker ended');
      void startAnother({ delayMs: 0, promptMs: 0 });
    });
    takeNext();
  };

  const startAnother = async (next: { delayMs: number; promptMs: number }): Promise<void> => {
    await wait(next.delayMs);
    for (let failures = 0; !isStopped(); failures++) {
      try {
        keep(await startWorker({ url, sdl, promptMs: next.promptMs, heapMiB, signal }));
        return;
      } catch (error) {
        if (!isStopped()) logger.error({ err: error }, 'a planning worker does not start; trying again');
        await wait(backoffMs(failures));
      }
    }
  };

  /** Gives the oldest operation to an idle worker. The second worker is used only beside a long plan. */
  const takeNext = (): void => {
    const latest = performance.now() - takeOverMs;
    let idle: Slot | undefined;
    for (const slot of slots) {
      // The one that was idle for longest, so that both have compiled the planner's hot code.
      if (!slot.job) idle = idle && idle.busySince < slot.busySince ? idle : slot;
      else if (slot.busySince > latest) return;
    }
    if (!idle) return;
    const job = queue.shift();
    if (job) void run(idle, job);
  };

  const run = async (slot: Slot, job: Job): Promise<void> => {
    slot.job = job;
    slot.busySince = performance.now();
    const finish = (reply: PlanReply): void =>
      job.resolve({ reply, tookMs: performance.now() - slot.busySince });
    const takeOver = setTimeout(takeNext, takeOverMs + 1);
    const endBudget = watchBudget(slot.worker.busyMs, budgetMs, (isUsed) => {
      if (isUsed) {
        finish({ exceeded: `planning takes more than ${budgetMs} ms` });
      } else {
        logger.warn('the machine is too busy to plan an operation');
        job.resolve(undefined);
      }
      // From here on it gets no other operation, even if it should reply before it ends.
      slots.delete(slot);
      void slot.worker.stop();
    });
    try {
      const reply = await slot.worker.plan(job.request);
      slot.job = undefined;
      finish(reply);
    } catch (error) {
      if (isOutOfMemory(error)) finish({ exceeded: `planning needs more than ${memoryMiB} MiB` });
      else job.reject(new Error('the planning worker ended', { cause: error }));
    } finally {
      clearTimeout(takeOver);
      endBudget();
    }
    takeNext();
  };

  const { worker: first, heapMiB } = await startFirstWorker({ url, sdl, promptMs, memoryMiB, signal });
  keep(first);
  void startAnother({ delayMs: secondWorkerDelayMs, promptMs });
  return {
    plan: async (request) => {
      if (signal.aborted) throw new Error('planning has stopped');
      if (queue.length >= maxWaiting) return undefined;
      return new Promise((resolve, reject) => {
        queue.push({ request, resolve, reject });
        takeNext();
      });
    },
    stop: async () => {
      stopping.abort();
      for (const job of queue.splice(0)) job.reject(new Error('planning has stopped'));
      await Promise.all([...slots].map(({ worker }) => worker.stop()));
    },
  };
};
