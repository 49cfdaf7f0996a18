import { createHash } from 'node:crypto';
import { systemClock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import { createOutage } from '@cinegraph/service/outage';
import type { Part } from '@cinegraph/service/parts';
import { createClient } from '@redis/client';
import { createBreaker } from '../fetching/breaker.js';
import { maxDebtMs, msPerCost, type BudgetStore, type Charge, type Standing } from './budget-store.js';

/** How long a request waits for Redis before its charge is counted in this process. */
const timeoutMs = 75;

/** How long a start waits for the first connection. */
const firstConnectionMs = 1_000;

/**
 * Charges several budgets at once by GCRA, as the local store does, with the clock of Redis. A key holds the
 * time in milliseconds at which its budget is full, and expires then. The arguments of each key are the
 * milliseconds of a cost of 1, the largest debt, and the cost. The result has for each key "1" or "0" for
 * refused, and the debt.
 */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local debts, result, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local interval, most, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  debts[i] = math.max(0, (tonumber(redis.call('GET', key)) or 0) - now)
  local exceeds = debts[i] + cost * interval > most + 0.001
  if exceeds then refused = true end
  result[2 * i - 1] = exceeds and '1' or '0'
end
for i, key in ipairs(KEYS) do
  local interval, most, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  if refused then
    cost = (i == 1 and debts[i] + interval <= most + 0.001) and 1 or 0
  end
  if cost > 0 then
    debts[i] = debts[i] + cost * interval
    redis.call('SET', key, string.format('%.3f', now + debts[i]), 'PX', math.ceil(debts[i]) + 1)
  end
  result[2 * i] = string.format('%.3f', debts[i])
end
return result`;

const scriptHash = createHash('sha1').update(script).digest('hex');

/**
 * Creates a store in Redis, which all gateways with the same `url` share. While Redis cannot be reached, or
 * does not respond within 75 ms, charges go to `local`, and the log has one line when that begins and one
 * when it is over. After ten failures in a row one request a second tries Redis again. It never rejects.
 */
export const createRedisStore = (options: {
  url: string;
  local: BudgetStore;
  logger: Logger;
}): BudgetStore & { readonly part: Part } => {
  const { url, local, logger } = options;
  const outage = createOutage(
    logger,
    'Redis is unavailable: each gateway counts budgets by itself',
    'Redis is available: budgets are shared again',
  );
  const breaker = createBreaker(systemClock, () => undefined);
  let stopped = false;
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // A connection that has died without a word is noticed by its ping, and replaced.
    pingInterval: 2_000,
    socket: {
      connectTimeout: firstConnectionMs,
      socketTimeout: 5_000,
      reconnectStrategy: (retries) => !stopped && Math.min(100 * 2 ** retries, 2_000),
    },
  });
  client.on('error', (error: unknown) => void outage.failed(error));
  client.on('ready', () => {
    if (stopped) client.destroy();
  });

  const charge = async (charges: readonly Charge[]): Promise<readonly Standing[]> => {
    const admission = breaker.admit();
    if (admission === undefined) return local.charge(charges);
    try {
      const standings = standingsOf(await withinTimeout(run(charges)));
      breaker.record(admission, false);
      outage.over();
      return standings;
    } catch (error) {
      breaker.record(admission, true);
      outage.failed(error);
      return local.charge(charges);
    }
  };

  const run = async (charges: readonly Charge[]): Promise<unknown> => {
    const args = [String(charges.length), ...charges.map(({ key }) => `gateway:budget:${key}`)];
    for (const { quota, cost } of charges) {
      args.push(String(msPerCost(quota)), String(maxDebtMs(quota)), String(cost));
    }
    try {
      return await client.sendCommand(['EVALSHA', scriptHash, ...args]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return client.sendCommand(['EVAL', script, ...args]);
    }
  };

  return {
    charge,
    part: {
      name: 'Redis',
      start: async () => {
        // Without Redis the gateway starts all the same; the client tries until it is stopped.
        const connected = client.connect().catch((error: unknown) => void outage.failed(error));
        await withinTimeout(connected, firstConnectionMs).catch(
          (error: unknown) => void outage.failed(error),
        );
      },
      stop: async () => {
        stopped = true;
        // Destroyed while it connects, the client would keep the new connection and the process.
        if (client.isReady) client.destroy();
      },
    },
  };
};

const withinTimeout = async <Result>(result: Promise<Result>, limitMs = timeoutMs): Promise<Result> => {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    const giveUp = () => reject(new Error(`Redis did not respond within ${limitMs} ms`));
    // A busy process may find a response beside the expired timer; it is read first.
    timer = setTimeout(() => setImmediate(giveUp), limitMs);
  });
  // What arrives too late is nobody's error.
  result.catch(() => undefined);
  try {
    return await Promise.race([result, expired]);
  } finally {
    clearTimeout(timer);
  }
};

const standingsOf = (reply: unknown): readonly Standing[] => {
  const values = reply as readonly unknown[];
  const standings: Standing[] = [];
  for (let index = 0; index < values.length; index += 2) {
    standings.push({ refused: String(values[index]) === '1', debtMs: Number(values[index + 1]) });
  }
  return standings;
};
