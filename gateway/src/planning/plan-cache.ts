import type { QueryPlan } from '@apollo/query-planner';
import { LRUCache } from 'lru-cache';

/** A plan that is known, and how often it was asked for. */
interface KnownPlan {
  readonly operation: string;
  readonly plan: Promise<QueryPlan>;
  readonly bytes: number;
  uses: number;
}

/** Plans that are known. */
export interface PlanCache {
  /** Returns the plan of a key, and counts the use; undefined if it is not known. */
  readonly use: (key: string) => Promise<QueryPlan> | undefined;
  /** Keeps a plan. `planText` is its JSON, by which it is sized, and `tookMs` is how long planning took. */
  readonly keep: (
    key: string,
    known: { operation: string; plan: QueryPlan; planText: string; tookMs: number },
  ) => void;
  /** Returns the operations of the known plans, most used first, each once. */
  readonly mostUsed: (count: number) => string[];
}

/** A plan that took at least this long is not evicted by one that took less. */
const slowMs = 20;

/**
 * How much memory a plan takes per character of its JSON: up to 1.5 bytes parsed, and the rest for what is
 * compiled from it, which is kept as long as the plan.
 */
const parsedSize = 4;

/** What an entry takes in memory besides its texts and its plan. */
const entryBytes = 500;

/**
 * Creates a cache of at most about `maxBytes`, which evicts the least recently used plans. Slow plans and
 * cheap plans have a half each: a flood of different cheap operations leaves the slow plans where they are.
 */
export const createPlanCache = (maxBytes: number): PlanCache => {
  const createHalf = (): LRUCache<string, KnownPlan> =>
    new LRUCache({ maxSize: Math.floor(maxBytes / 2), sizeCalculation: ({ bytes }) => bytes });
  const cheap = createHalf();
  const slow = createHalf();
  return {
    use: (key) => {
      const known = cheap.get(key) ?? slow.get(key);
      if (!known) return undefined;
      known.uses++;
      return known.plan;
    },
    keep: (key, { operation, plan, planText, tookMs }) => {
      const bytes = key.length + planText.length * parsedSize + entryBytes;
      const half = tookMs >= slowMs ? slow : cheap;
      half.set(key, { operation, plan: Promise.resolve(plan), bytes, uses: 1 });
    },
    mostUsed: (count) => {
      const byUses = [...cheap.values(), ...slow.values()].sort((a, b) => b.uses - a.uses);
      return [...new Set(byUses.map(({ operation }) => operation))].slice(0, count);
    },
  };
};
