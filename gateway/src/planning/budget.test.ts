import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { watchBudget } from './budget.js';

describe('a budget', () => {
  let busyMs = 0;
  let exceeded = 0;
  const watch = () =>
    watchBudget(
      () => busyMs,
      100,
      () => exceeded++,
    );
  beforeEach(() => {
    jest.useFakeTimers();
    busyMs = 1_000;
    exceeded = 0;
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('is exceeded when all of the time was used', () => {
    watch();
    busyMs += 100;
    jest.advanceTimersByTime(99);
    expect(exceeded).toBe(0);
    jest.advanceTimersByTime(2);
    expect(exceeded).toBe(1);
    jest.advanceTimersByTime(1_000);
    expect(exceeded).toBe(1);
  });

  it('lasts longer while the processor does something else', () => {
    watch();
    busyMs += 40;
    jest.advanceTimersByTime(150);
    expect(exceeded).toBe(0);
    busyMs += 60;
    jest.advanceTimersByTime(20);
    expect(exceeded).toBe(1);
  });

  it('is exceeded after five times as long even if hardly any of it was used', () => {
    watch();
    busyMs += 1;
    jest.advanceTimersByTime(490);
    expect(exceeded).toBe(0);
    jest.advanceTimersByTime(120);
    expect(exceeded).toBe(1);
  });

  it('is not exceeded after the watch has ended', () => {
    const end = watch();
    end();
    busyMs += 500;
    jest.advanceTimersByTime(1_000);
    expect(exceeded).toBe(0);
  });
});
