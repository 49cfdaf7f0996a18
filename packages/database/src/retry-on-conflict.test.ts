import { describe, expect, it, jest } from '@jest/globals';
import { retryOnConflict } from './retry-on-conflict.js';

const deadlock = Object.assign(new Error('deadlock detected'), { code: '40P01' });

describe('retryOnConflict', () => {
  it('runs the transaction again after a deadlock, and returns its result', async () => {
    const run = jest.fn<() => Promise<string>>().mockRejectedValueOnce(deadlock).mockResolvedValue('done');
    await expect(retryOnConflict(run)).resolves.toBe('done');
    expect(run).toHaveBeenCalledTimes(2);
  });

  it('rejects with the last error after the given number of attempts', async () => {
    const run = jest.fn<() => Promise<string>>().mockRejectedValue(deadlock);
    await expect(retryOnConflict(run, { attempts: 3 })).rejects.toBe(deadlock);
    expect(run).toHaveBeenCalledTimes(3);
  });

  it('does not retry an error that is not a conflict', async () => {
    const run = jest.fn<() => Promise<string>>().mockRejectedValue(new Error('syntax error'));
    await expect(retryOnConflict(run)).rejects.toThrow('syntax error');
    expect(run).toHaveBeenCalledTimes(1);
  });
});
