import { describe, expect, it } from '@jest/globals';
import { backoffMs } from './backoff.js';

describe('backoffMs', () => {
  it.each([
    [0, 100],
    [1, 200],
    [3, 800],
    [20, 10_000],
    [5_000, 10_000],
  ])('returns between half and all of the delay: after %d failures %d ms', (failures, longest) => {
    for (let draw = 0; draw < 50; draw += 1) {
      const ms = backoffMs(failures);
      expect(ms).toBeGreaterThanOrEqual(longest / 2);
      expect(ms).toBeLessThanOrEqual(longest);
    }
  });
});
