import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `condition` returns true, and asks it about a hundred times a second. Rejects after
 * `timeoutMs`, and at once if `condition` throws. `what` completes the sentence "waiting until …" of the
 * error.
 */
export const until = async (
  condition: () => boolean | Promise<boolean>,
  what: string = condition.toString(),
  timeoutMs = 30_000,
): Promise<void> => {
  const endsAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endsAt)
      throw new Error(`Gave up after ${timeoutMs} ms of waiting until ${what}.`);
    await delay(10);
  }
};
