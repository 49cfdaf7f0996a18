/** On a busy machine, work may last this many times its budget of processor time. */
const maxWaitPerBudget = 10;

/**
 * Calls `onExceeded` once with true when the clock `busyMs` has advanced by `budgetMs`, or with false when that
 * did not happen within ten times as long. Returns a function that ends the watch.
 */
export const watchBudget = (
  busyMs: () => number,
  budgetMs: number,
  onExceeded: (isUsed: boolean) => void,
): (() => void) => {
  const began = performance.now();
  const busyBefore = busyMs();
  let isOver = false;
  let timer = setTimeout(check, budgetMs);
  function check(): void {
    // If this thread itself was busy, the result is here already, and is received before setImmediate.
    setImmediate(() => {
      if (isOver) return;
      const leftMs = budgetMs - (busyMs() - busyBefore);
      const isUsed = leftMs <= 0;
      if (isUsed || performance.now() - began > budgetMs * maxWaitPerBudget) onExceeded(isUsed);
      else timer = setTimeout(check, leftMs);
    });
  }
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
};
