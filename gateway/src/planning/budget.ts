/** On a busy machine, work may last this many times its budget of processor time. */
const maxWaitPerBudget = 5;

/**
 * Calls `onExceeded` once when the clock `busyMs` has advanced by more than `budgetMs`, or when that did not
 * happen within five times as long. Returns a function that ends the watch.
 */
export const watchBudget = (busyMs: () => number, budgetMs: number, onExceeded: () => void): (() => void) => {
  const began = performance.now();
  const busyBefore = busyMs();
  let isOver = false;
  let timer = setTimeout(check, budgetMs);
  function check(): void {
    // If this thread itself was busy, the result is here already, and is received before setImmediate.
    setImmediate(() => {
      if (isOver) return;
      const leftMs = budgetMs - (busyMs() - busyBefore);
      if (leftMs <= 0 || performance.now() - began > budgetMs * maxWaitPerBudget) onExceeded();
      else timer = setTimeout(check, leftMs);
    });
  }
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
};
