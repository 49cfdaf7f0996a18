import { LRUCache } from 'lru-cache';

/** How much a client may cost: `burst` at once, and `perMinute` in the long run. */
export interface Quota {
  readonly perMinute: number;
  readonly burst: number;
}

/** What is taken from one budget. `cost` is positive. */
export interface Charge {
  readonly key: string;
  readonly quota: Quota;
  readonly cost: number;
}

/** The state of a budget after a charge. */
export interface Standing {
  /** Whether this budget has too little left for its charge. */
  readonly refused: boolean;
  /** How long the budget needs to be full again. */
  readonly debtMs: number;
}

/**
 * Keeps budgets. All charges of one call are taken, or, if one of them is refused, only a cost of 1 from the
 * first budget, as far as it is there. The standings have the order of the charges.
 */
export interface BudgetStore {
  charge(charges: readonly Charge[]): readonly Standing[] | Promise<readonly Standing[]>;
}

/** The milliseconds in which a budget earns a cost of 1. */
export const msPerCost = ({ perMinute }: Quota): number => 60_000 / perMinute;

/** How large a debt may be. */
export const maxDebtMs = (quota: Quota): number => quota.burst * msPerCost(quota);

/** Sums of times are not exact. The script for Redis has the same tolerance. */
const toleranceMs = 0.001;

/** Maximum number of clients that the process remembers, about 15 MiB. */
const maxClients = 100_000;

/**
 * Creates a store in the memory of this process. It counts by the generic cell rate algorithm (GCRA), which
 * keeps one number for each budget: the time at which it is full again. If there are more clients than it
 * remembers, the budget that was not charged for the longest time becomes full.
 */
export const createLocalStore = (
  now: () => number = () => performance.now(),
  max: number = maxClients,
): BudgetStore & { readonly size: () => number } => {
  const fullAtMs = new LRUCache<string, number>({ max });
  return {
    size: () => fullAtMs.size,
    charge: (charges) => {
      const nowMs = now();
      const standings = charges.map(({ key, quota, cost }) => {
        const debtMs = Math.max(0, (fullAtMs.get(key) ?? 0) - nowMs);
        return { refused: exceeds(debtMs, cost, quota), debtMs };
      });
      const isRefused = standings.some(({ refused }) => refused);
      return charges.map(({ key, quota, cost }, index) => {
        const { refused, debtMs } = standings[index] ?? { refused: true, debtMs: 0 };
        const taken = isRefused ? (index === 0 && !exceeds(debtMs, 1, quota) ? 1 : 0) : cost;
        const after = debtMs + taken * msPerCost(quota);
        if (taken > 0) fullAtMs.set(key, nowMs + after);
        return { refused, debtMs: after };
      });
    },
  };
};

const exceeds = (debtMs: number, cost: number, quota: Quota): boolean =>
  debtMs + cost * msPerCost(quota) > maxDebtMs(quota) + toleranceMs;
