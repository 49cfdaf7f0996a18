/**
 * Creates a signal that wakes one waiter up before its poll interval is over. A signal that comes while nobody waits is
 * kept until `reset`.
 */
export const createWakeUp = () => {
  let signalled = false;
  let wake = (): void => undefined;
  return {
    reset: (): void => {
      signalled = false;
    },
    signal: (): void => {
      signalled = true;
      wake();
    },
    /** Resolves on a signal, at once if one came since the last `reset`, and after `ms` milliseconds in any case. */
    wait: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, signalled ? 0 : ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
};
