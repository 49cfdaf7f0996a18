import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `condition` returns true; calls it about a hundred times a second. Rejects after `timeoutMs`,
 * or as soon as `condition` throws. `what` completes the sentence "Gave up waiting until …" of the error.
 */
export const until = async (
  condition: () => boolean | Promise<boolean>,
  what: string = condition.toString(),
  timeoutMs = 30_000,
): Promise<void> => {
  const endsAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endsAt) throw new Error(`Gave up waiting until ${what} after ${timeoutMs} ms.`);
    await delay(10);
  }
};
