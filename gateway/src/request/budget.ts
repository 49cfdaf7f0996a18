import type { Viewer } from '@cinegraph/service/viewer';
import type { GraphQLError } from 'graphql';
import { LRUCache } from 'lru-cache';
import { rateLimited } from '../errors.js';
import { maxDebtMs, msPerCost, type BudgetStore, type Charge, type Quota } from './budget-store.js';
import type { OperationCost } from './operation-cost.js';

/** The budgets of clients. */
export interface BudgetSettings {
  /** What each client may cost; undefined if nothing is counted. */
  readonly cost: Quota | undefined;
  /** How often a client may select a field, for example `Mutation.login`, each minute. */
  readonly fields: Readonly<Record<string, number>>;
}

/** The account of one request. */
export interface Account {
  /**
   * Takes the cost of an operation from the budgets of its client. Rejects with RATE_LIMITED (HTTP 429) if
   * one of them has too little left.
   */
  charge(cost: Pick<OperationCost, 'cost' | 'fields'>): Promise<void>;
  /** Throws RATE_LIMITED if the client is known to have nothing left. Call it before anything is parsed. */
  assertNotExhausted(): void;
  /** Takes 1 from the budget of a request that was refused before it was charged. Returns the headers. */
  settle(): Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;
}

/** Opens the account of a request; `address` is one of `budgetAddress`. */
export type OpenAccount = (viewer: Viewer, address: string) => Account;

/** Maximum number of clients without budget that are refused before their requests are parsed. */
const maxExhausted = 10_000;

/** The name of the budget of all operations, in the headers. */
const costPolicy = 'cost';

/**
 * Creates the accounts of clients. The cost of an operation counts for its viewer, or for its address if
 * nobody is signed in. A field with a budget of its own counts for the address, and for the viewer as well.
 */
export const createBudget = (
  { cost: costQuota, fields: fieldBudgets }: BudgetSettings,
  store: BudgetStore,
): OpenAccount => {
  const exhaustedUntilMs = new LRUCache<string, number>({ max: maxExhausted });
  const fieldQuotas = new Map(
    Object.entries(fieldBudgets).map(([field, limit]) => [field, { perMinute: limit, burst: limit }]),
  );

  return (viewer, address) => {
    const byAddress = `address:${address}`;
    const client = viewer ? `viewer:${viewer.id}` : byAddress;
    const clients = viewer ? [client, byAddress] : [byAddress];
    const costKey = `cost:${client}`;
    let policies: readonly Policy[] | undefined;
    let retryAfterSeconds: number | undefined;

    const chargesOf = ({ cost, fields }: Pick<OperationCost, 'cost' | 'fields'>): readonly NamedCharge[] => {
      const charges: NamedCharge[] = [];
      if (costQuota) {
        // An operation that costs more than a full budget needs all of it, and is not refused for ever.
        charges.push({
          policy: costPolicy,
          key: costKey,
          quota: costQuota,
          cost: Math.min(cost, costQuota.burst),
        });
      }
      for (const [field, count] of fields) {
        const quota = fieldQuotas.get(field);
        if (!quota) continue;
        for (const one of clients)
          charges.push({ policy: field, key: `${field}:${one}`, quota, cost: count });
      }
      return charges;
    };

    /** Takes the charges, and returns the refusal if they exceed a budget. */
    const take = async (charges: readonly NamedCharge[]): Promise<GraphQLError | undefined> => {
      if (charges.length === 0) return undefined;
      // In this process it takes no time, and awaiting it would cost more than the charge.
      const result = store.charge(charges);
      const standings = result instanceof Promise ? await result : result;
      policies = charges.map(({ policy, quota }, index) => ({
        name: policy,
        quota,
        debtMs: standings[index]?.debtMs ?? 0,
      }));
      let waitMs = 0;
      let refused: NamedCharge | undefined;
      for (const [index, charge] of charges.entries()) {
        const standing = standings[index];
        if (!standing?.refused) continue;
        const { quota, cost } = charge;
        refused = charge;
        waitMs = Math.max(waitMs, standing.debtMs + cost * msPerCost(quota) - maxDebtMs(quota));
      }
      const [first] = policies;
      if (costQuota && first) {
        const missingMs = first.debtMs + msPerCost(costQuota) - maxDebtMs(costQuota);
        if (missingMs > 0) exhaustedUntilMs.set(costKey, performance.now() + missingMs);
      }
      if (!refused) return undefined;
      return refuse(waitMs, refused);
    };

    const refuse = (waitMs: number, { policy, quota, cost }: NamedCharge): GraphQLError => {
      retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1_000));
      if (policy === costPolicy) return rateLimited(retryAfterSeconds);
      return rateLimited(retryAfterSeconds, { field: policy, count: cost, limit: quota.perMinute });
    };

    return {
      charge: async (cost) => {
        const refusal = await take(chargesOf(cost));
        if (refusal) throw refusal;
      },
      assertNotExhausted: () => {
        const untilMs = exhaustedUntilMs.get(costKey);
        if (untilMs === undefined || !costQuota) return;
        const waitMs = untilMs - performance.now();
        if (waitMs <= 0) return;
        policies = [{ name: costPolicy, quota: costQuota, debtMs: maxDebtMs(costQuota) }];
        throw refuse(waitMs, { policy: costPolicy, key: costKey, quota: costQuota, cost: 1 });
      },
      settle: () => {
        const refusedFor = retryAfterSeconds;
        // Most requests were charged; a promise would cost more than the headers.
        if (policies) return headersOf(policies, refusedFor);
        return take(chargesOf({ cost: 1, fields: [] })).then(() => headersOf(policies ?? [], refusedFor));
      },
    };
  };
};

interface NamedCharge extends Charge {
  readonly policy: string;
}

interface Policy {
  readonly name: string;
  readonly quota: Quota;
  readonly debtMs: number;
}

/**
 * Returns `RateLimit` and `RateLimit-Policy` as structured fields (draft-ietf-httpapi-ratelimit-headers-10):
 * the quota `q` in `w` seconds, what remains of it (`r`), and the seconds until it is full (`t`).
 */
const headersOf = (
  policies: readonly Policy[],
  retryAfterSeconds: number | undefined,
): Record<string, string> => {
  if (policies.length === 0) return {};
  const limits: string[] = [];
  const stated: string[] = [];
  for (const { name, quota, debtMs } of policies.length === 1 ? policies : strictestOf(policies)) {
    const remaining = Math.max(0, Math.floor((maxDebtMs(quota) - debtMs) / msPerCost(quota) + 1e-6));
    limits.push(`"${name}";r=${remaining};t=${Math.ceil(debtMs / 1_000)}`);
    stated.push(`"${name}";q=${quota.burst};w=${Math.ceil(maxDebtMs(quota) / 1_000)}`);
  }
  return {
    ratelimit: limits.join(', '),
    'ratelimit-policy': stated.join(', '),
    ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
  };
};

/** Returns one policy for each name: the one with the largest debt. */
const strictestOf = (policies: readonly Policy[]): Iterable<Policy> => {
  const strictest = new Map<string, Policy>();
  for (const policy of policies) {
    const other = strictest.get(policy.name);
    if (!other || policy.debtMs > other.debtMs) strictest.set(policy.name, policy);
  }
  return strictest.values();
};
