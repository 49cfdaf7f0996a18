import { describe, expect, it } from '@jest/globals';
import { createLocalStore, type Charge, type Standing } from './budget-store.js';

const quota = { perMinute: 60, burst: 10 };

const storeAt = (max?: number) => {
  const clock = { nowMs: 0 };
  const store = createLocalStore(() => clock.nowMs, max);
  const charge = (...charges: readonly (readonly [key: string, cost: number])[]) =>
    store.charge(charges.map(([key, cost]): Charge => ({ key, quota, cost }))) as readonly Standing[];
  return { clock, store, charge };
};

describe('the budgets in a process', () => {
  it('allow the burst at once, and then what they earn', () => {
    const { clock, charge } = storeAt();
    expect(charge(['a', 10])).toEqual([{ refused: false, debtMs: 10_000 }]);
    expect(charge(['a', 1])).toEqual([{ refused: true, debtMs: 10_000 }]);
    clock.nowMs = 1_000;
    expect(charge(['a', 1])).toEqual([{ refused: false, debtMs: 10_000 }]);
    clock.nowMs = 60_000;
    expect(charge(['a', 10])).toEqual([{ refused: false, debtMs: 10_000 }]);
  });

  it('are charged together or not at all, apart from 1 for the request', () => {
    const { charge } = storeAt();
    expect(charge(['a', 5], ['b', 11])).toEqual([
      { refused: false, debtMs: 1_000 },
      { refused: true, debtMs: 0 },
    ]);
    expect(charge(['b', 10])).toEqual([{ refused: false, debtMs: 10_000 }]);
    expect(charge(['a', 5], ['b', 1])).toEqual([
      { refused: false, debtMs: 2_000 },
      { refused: true, debtMs: 10_000 },
    ]);
  });

  it('take a bounded memory under a million addresses, and keep those that are in use', () => {
    const { store, charge } = storeAt(1_000);
    charge(['busy', 10]);
    for (let address = 0; address < 1_000_000; address += 1) {
      charge([`address:${address}`, 1]);
      if (address % 500 === 0) expect(charge(['busy', 1])[0]?.refused).toBe(true);
    }
    expect(store.size()).toBe(1_000);
  });
});
