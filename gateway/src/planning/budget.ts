/**
 * On a busy machine, work may last this many times its budget of processor time. A planning thread of the
 * lowest priority gets a thirtieth of a processor.
 */
const maxWaitPerBudget = 30;

/**
 * Calls `onExceeded` once: with true when the clock `busyMs` has advanced by `budgetMs`, and with false if
 * that does not happen within thirty times as long. Returns a function that ends the watch.
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
