/**
 * Creates a signal that ends one waiter's poll interval early. A signal that is sent while nobody waits is
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
    /**
     * Resolves on a signal, or after `ms` milliseconds. Resolves at once if a signal was sent since `reset`.
     */
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
