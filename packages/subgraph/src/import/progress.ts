import cliProgress from 'cli-progress';

/** A progress bar on a terminal: the part that is done, records per second and the time that is left. */
export interface Progress {
  /** Sets how much of the total is done, and how many records were read so far. */
  update(value: number, count: number): void;
  stop(): void;
}

/**
 * Starts the bar of a stage. `total` may be in any unit, and is 0 if it is unknown. `what` names the stage.
 * The bar is drawn only if `shown` is true.
 */
export const startProgress = (options: {
  what: string;
  items: string;
  total: number;
  shown: boolean;
}): Progress => {
  const { what, items, total, shown } = options;
  if (!shown) return { update: () => undefined, stop: () => undefined };
  const begun = performance.now();
  const amount = total > 0 ? '{bar} {percentage}% · ' : '';
  const left = total > 0 ? ' · {eta_formatted} left' : '';
  const bar = new cliProgress.SingleBar(
    {
      format: `${what} ${amount}{count} ${items} · {rate}/s${left}`,
      // A process that is ended with Ctrl-C would not show the cursor again.
      hideCursor: false,
      clearOnComplete: true,
      etaBuffer: 100,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0, { count: 0, rate: 0 });
  return {
    update: (value, count) => {
      const seconds = Math.max(0.001, (performance.now() - begun) / 1000);
      bar.update(value, { count, rate: Math.round(count / seconds) });
    },
    stop: () => bar.stop(),
  };
};
