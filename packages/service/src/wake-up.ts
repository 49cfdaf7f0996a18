/** A bell that one waits for, and that others ring; ringing is remembered until it is reset. */
export const createBell = () => {
  let rung = false;
  let hear = (): void => undefined;
  return {
    reset: (): void => {
      rung = false;
    },
    ring: (): void => {
      rung = true;
      hear();
    },
    /** Resolves when it rings, at once when it has rung since the reset, and after so many milliseconds in any case. */
    heard: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, rung ? 0 : ms);
        hear = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
};
