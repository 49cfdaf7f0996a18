import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { createRepeatedWork, type RepeatedWork } from './repeated-work.js';

let part: RepeatedWork | undefined;
afterEach(() => part?.stop());

/** Starts a part that calls `work`. Each wait ends long before the part looks for work by itself. */
const start = async (work: (signal: AbortSignal) => Promise<void>): Promise<RepeatedWork> => {
  part = createRepeatedWork('work', silentLogger, work);
  await part.start();
  return part;
};

describe('repeated work', () => {
  it('is done at the start, and again as soon as it is woken up', async () => {
    let calls = 0;
    const { wake } = await start(async () => {
      calls++;
    });
    await until(() => calls === 1, 'it worked', 5_000);
    wake();
    await until(() => calls === 2, 'it worked again', 5_000);
  });

  it('a wake-up that comes while it works makes it look for work again', async () => {
    const ends: (() => void)[] = [];
    const { wake } = await start(() => new Promise((resolve) => ends.push(resolve)));
    await until(() => ends.length === 1, 'it worked', 5_000);
    wake();
    ends[0]?.();
    await until(() => ends.length === 2, 'it worked again', 5_000);
    ends[1]?.();
  });

  it('work that failed is tried again without a wake-up', async () => {
    let calls = 0;
    await start(async () => {
      calls++;
      if (calls === 1) throw new Error('failed');
    });
    await until(() => calls === 2, 'it was tried again', 10_000);
  });

  it('a stop ends the wait, and the work by its signal', async () => {
    let signal: AbortSignal | undefined;
    const { stop } = await start(async (received) => {
      signal = received;
    });
    await until(() => signal !== undefined, 'it worked', 5_000);
    await stop();
    expect(signal?.aborted).toBe(true);
  });
});
