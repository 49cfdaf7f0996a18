import type { QueryPlan } from '@apollo/query-planner';
import { describe, expect, it } from '@jest/globals';
import { createPlanCache } from './plan-cache.js';

const plan: QueryPlan = { kind: 'QueryPlan' };

/** Keeps a plan whose JSON has a thousand characters, about 4.5 kB in the cache. */
const keep = (cache: ReturnType<typeof createPlanCache>, operation: string, tookMs = 1) =>
  cache.keep(operation, { operation, plan, planText: 'p'.repeat(1_000), tookMs });

describe('the plan cache', () => {
  it('returns a plan that it keeps, and nothing for another key', async () => {
    const cache = createPlanCache(1_000_000);
    keep(cache, '{a}');
    await expect(cache.use('{a}')).resolves.toBe(plan);
    expect(cache.use('{b}')).toBeUndefined();
  });

  it('stays below its size in bytes, and evicts the plan that was not used for longest', () => {
    const cache = createPlanCache(100_000);
    for (let n = 0; n < 10; n++) keep(cache, `{a${n}}`);
    void cache.use('{a0}');
    for (let n = 10; n < 20; n++) keep(cache, `{a${n}}`);
    const kept = cache.mostUsed(100);
    // Cheap plans have one half: 50 kB.
    expect(kept).toHaveLength(11);
    expect(kept).toContain('{a0}');
    expect(kept).not.toContain('{a1}');
  });

  it('keeps no plan that alone is larger than its half', () => {
    const cache = createPlanCache(4_000);
    keep(cache, '{a}');
    expect(cache.use('{a}')).toBeUndefined();
  });

  it('keeps a plan that took long while any number of cheap plans come and go', () => {
    const cache = createPlanCache(100_000);
    keep(cache, '{slow}', 500);
    for (let n = 0; n < 1_000; n++) keep(cache, `{a${n}}`);
    expect(cache.use('{slow}')).toBeDefined();
  });

  it('lists operations by their number of uses, and an operation with several keys once', () => {
    const cache = createPlanCache(1_000_000);
    for (const name of ['{a}', '{b}', '{c}']) keep(cache, name, name === '{c}' ? 500 : 1);
    cache.keep('label\0{c}', { operation: '{c}', plan, planText: 'p', tookMs: 1 });
    for (let n = 0; n < 3; n++) void cache.use('{c}');
    void cache.use('{b}');
    expect(cache.mostUsed(10)).toEqual(['{c}', '{b}', '{a}']);
    expect(cache.mostUsed(2)).toEqual(['{c}', '{b}']);
  });
});
