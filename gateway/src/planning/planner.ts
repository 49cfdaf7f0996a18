import { createHash } from 'node:crypto';
import type { QueryPlan } from '@apollo/query-planner';
import type { Logger } from '@cinegraph/service/logger';
import type { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { gatewayCode, planningOverloaded, refusedOperation } from '../errors.js';
import { createPlanCache } from './plan-cache.js';
import { startWorkers } from './workers.js';

/** Makes the query plans of one supergraph, in worker threads, within a budget. */
export interface Planner {
  /**
   * Returns the plan of one operation: from the cache, or made once for all who ask at the same time.
   * `labels` are the override labels that are on, sorted. The key is the text, so callers normalise it.
   * Rejects with a refusal, `OPERATION_TOO_COMPLEX` over the budget and `OVERLOADED` if too many operations
   * wait, and with any other error if the operation does not fit the supergraph.
   */
  readonly plan: (operation: string, labels?: readonly string[]) => Promise<QueryPlan>;
  /** Returns the texts of the operations that are used most, most used first. */
  readonly mostUsed: (count: number) => readonly string[];
  /** Ends the worker threads; plans that are not known are rejected from then on. */
  readonly stop: () => Promise<void>;
}

/**
 * The compiled worker. The path is the same from `src` and from `dist`: a thread cannot run TypeScript, so
 * tests use what was built, too.
 */
const compiledWorker = new URL('../../dist/planning/planner-worker.js', import.meta.url);

/** An operation of more characters is refused: reading it, and its plan, would hold up other requests. */
const maxOperationLength = 500_000;

/**
 * A plan of more characters is refused: compiling it takes about 20 ms, in which nothing else is served. The
 * plan of the benchmark's store query has 7,000.
 */
const maxPlanLength = 150_000;

/** What one plan may use. The planner's hot code is compiled after some plans; the first ones take 0.2 s. */
const defaultBudgetMs = 1_000;

/**
 * Also bounds the size of what the planner allocates at once: V8 ends a worker if a small allocation exceeds
 * the heap limit, but the whole process if one of more than 16 MiB does. The lists of the planner are that
 * long only after their items have filled far more than 40 MiB.
 */
const defaultMemoryMiB = 40;

/**
 * The processor time that each worker plans for before its priority becomes the lowest. The operations of a
 * deployment's own clients usually take less, so that a gateway that was just started plans them soon. From
 * then on, a client that sends new operations all the time does not delay those that are known.
 */
const defaultPromptMs = 1_000;

const defaultCacheBytes = 16 * 2 ** 20;

/** Refusals that are remembered, by hash, and for how long: planning is slower on a busy machine. */
const maxRefusals = 10_000;
const refusalTtlMs = 10 * 60_000;

/**
 * Starts the planner of a supergraph. Resolves when the first worker has built it, and rejects with the
 * worker's error if it cannot. One plan may use `budgetMs` of processor time and `memoryMiB` beside the
 * supergraph; known plans take at most about `cacheBytes`. A worker that has planned for `promptMs` has
 * the lowest priority. `workerUrl` replaces the worker, in tests.
 */
export const createPlanner = async (options: {
  sdl: string;
  logger: Logger;
  budgetMs?: number;
  memoryMiB?: number;
  promptMs?: number;
  cacheBytes?: number;
  workerUrl?: URL;
}): Promise<Planner> => {
  const { sdl, logger, budgetMs = defaultBudgetMs, memoryMiB = defaultMemoryMiB } = options;
  const { promptMs = defaultPromptMs } = options;
  const workers = await startWorkers({
    url: options.workerUrl ?? compiledWorker,
    ...{ sdl, budgetMs, memoryMiB, promptMs, logger },
  });
  const known = createPlanCache(options.cacheBytes ?? defaultCacheBytes);
  const refusals = new LRUCache<string, true>({ max: maxRefusals, ttl: refusalTtlMs });
  const inFlight = new Map<string, Promise<QueryPlan>>();

  const refuse = (refusalKey: string, operation: string, reason: string): GraphQLError => {
    refusals.set(refusalKey, true);
    // The text has no values of a client, but may be long.
    logger.warn({ reason, operation: operation.slice(0, 500) }, 'an operation is too complex to plan');
    return tooComplex();
  };

  const planOnce = async (key: string, operation: string, labels: readonly string[]): Promise<QueryPlan> => {
    if (operation.length > maxOperationLength) throw tooComplex();
    const refusalKey = createHash('sha256').update(key).digest('base64');
    if (refusals.has(refusalKey)) throw tooComplex();
    const planned = await workers.plan({ operation, labels });
    if (!planned) throw planningOverloaded();
    const { reply, tookMs } = planned;
    if ('exceeded' in reply) throw refuse(refusalKey, operation, reply.exceeded);
    if ('failure' in reply) throw new Error(`the operation cannot be planned: ${reply.failure}`);
    if (reply.plan.length > maxPlanLength) {
      throw refuse(refusalKey, operation, `the plan has ${reply.plan.length} characters`);
    }
    const plan = JSON.parse(reply.plan) as QueryPlan;
    known.keep(key, { operation, plan, planText: reply.plan, tookMs });
    return plan;
  };

  return {
    plan: (operation, labels = noLabels) => {
      // No label and no operation contains the null character.
      const key = labels.length === 0 ? operation : `${labels.join()}\0${operation}`;
      const found = known.use(key) ?? inFlight.get(key);
      if (found) return found;
      const planning = planOnce(key, operation, labels).finally(() => inFlight.delete(key));
      inFlight.set(key, planning);
      return planning;
    },
    mostUsed: known.mostUsed,
    stop: workers.stop,
  };
};

const noLabels: readonly string[] = [];

const tooComplex = (): GraphQLError =>
  refusedOperation(
    gatewayCode.operationTooComplex,
    'The operation is too complex to plan. Ask for less, or in several requests.',
  );
