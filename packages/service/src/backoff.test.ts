import { describe, expect, it } from '@jest/globals';
import { backoffMs } from './backoff.js';

describe('backoffMs', () => {
  it.each([
    [0, 100],
    [1, 200],
    [3, 800],
    [20, 10_000],
    [5_000, 10_000],
  ])('after %d failures is between a half and the whole of %d ms', (failures, longest) => {
    for (let draw = 0; draw < 50; draw += 1) {
      const ms = backoffMs(failures);
      expect(ms).toBeGreaterThanOrEqual(longest / 2);
      expect(ms).toBeLessThanOrEqual(longest);
    }
  });
});
