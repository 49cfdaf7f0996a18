import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { watchBudget } from './budget.js';

describe('a budget', () => {
  let busyMs = 0;
  let exceeded: boolean[] = [];
  const watch = () =>
    watchBudget(
      () => busyMs,
      100,
      (isUsed) => exceeded.push(isUsed),
    );
  beforeEach(() => {
    jest.useFakeTimers();
    busyMs = 1_000;
    exceeded = [];
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('is exceeded when all of the time was used', () => {
    watch();
    busyMs += 100;
    jest.advanceTimersByTime(99);
    expect(exceeded).toEqual([]);
    jest.advanceTimersByTime(2);
    expect(exceeded).toEqual([true]);
    jest.advanceTimersByTime(1_000);
    expect(exceeded).toEqual([true]);
  });

  it('lasts longer while the processor does something else', () => {
    watch();
    busyMs += 40;
    jest.advanceTimersByTime(150);
    expect(exceeded).toEqual([]);
    busyMs += 60;
    jest.advanceTimersByTime(20);
    expect(exceeded).toEqual([true]);
  });

  it('is exceeded after thirty times as long even if hardly any of it was used', () => {
    watch();
    busyMs += 1;
    jest.advanceTimersByTime(2_990);
    expect(exceeded).toEqual([]);
    jest.advanceTimersByTime(120);
    expect(exceeded).toEqual([false]);
  });

  it('is not exceeded after the watch has ended', () => {
    const end = watch();
    end();
    busyMs += 500;
    jest.advanceTimersByTime(1_000);
    expect(exceeded).toEqual([]);
  });
});
