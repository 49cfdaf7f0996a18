/** Runs `work` for the numbers below `count`, ten at a time. */
export const inParallel = async (count: number, work: (n: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const run = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 10 }, run));
};
