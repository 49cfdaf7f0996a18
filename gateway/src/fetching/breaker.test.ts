import { describe, expect, it } from '@jest/globals';
import { createBreaker } from './breaker.js';

const startBreaker = () => {
  let nowMs = 0;
  const changes: boolean[] = [];
  const breaker = createBreaker({ now: () => new Date(nowMs) }, (open) => changes.push(open));
  return {
    breaker,
    changes,
    setTime: (ms: number) => {
      nowMs = ms;
    },
    record: (outcomes: readonly boolean[]) => {
      for (const failed of outcomes) {
        const admission = breaker.admit();
        if (admission !== undefined) breaker.record(admission, failed);
      }
    },
  };
};

const failures = (count: number): readonly boolean[] => Array.from({ length: count }, () => true);

describe('createBreaker', () => {
  it('opens after ten failures in a row, and not before', () => {
    const { breaker, changes, record } = startBreaker();
    record([false, ...failures(9)]);
    expect(breaker.admit()).toBe('usual');

    record(failures(1));
    record(failures(1));
    expect(changes).toEqual([true]);
    expect(breaker.admit()).toBeUndefined();
  });

  it('opens if one of twenty fetches succeeds, and not if every second one does', () => {
    const rare = startBreaker();
    for (let n = 0; n < 3; n += 1) rare.record([false, ...failures(19)]);
    expect(rare.changes).toEqual([true]);

    const half = startBreaker();
    for (let n = 0; n < 500; n += 1) half.record([false, true]);
    expect(half.changes).toEqual([]);
  });

  it('admits one probe a second while it is open, and closes when a probe succeeds', () => {
    const { breaker, changes, setTime, record } = startBreaker();
    record(failures(12));
    setTime(999);
    expect(breaker.admit()).toBeUndefined();
    setTime(1_000);
    expect([breaker.admit(), breaker.admit()]).toEqual(['probe', undefined]);
    breaker.record('probe', true);
    expect(breaker.admit()).toBeUndefined();

    setTime(2_000);
    expect(breaker.admit()).toBe('probe');
    breaker.record('probe', false);
    expect(breaker.admit()).toBe('usual');
    expect(changes).toEqual([true, false]);
  });

  it('admits a next probe if the last one has no end', () => {
    const { breaker, setTime, record } = startBreaker();
    record(failures(12));
    for (const ms of [1_000, 2_000, 3_000]) {
      setTime(ms);
      expect([breaker.admit(), breaker.admit()]).toEqual(['probe', undefined]);
    }
  });

  it('stays open when a fetch from before succeeds late', () => {
    const { breaker, record } = startBreaker();
    record(failures(12));
    breaker.record('usual', false);

    expect(breaker.admit()).toBeUndefined();
  });

  it('a clock that is set back does not keep it open', () => {
    const { breaker, setTime, record } = startBreaker();
    setTime(3_600_000);
    record(failures(12));
    setTime(0);

    expect(breaker.admit()).toBe('probe');
  });
});
