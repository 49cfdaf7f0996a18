import cliProgress from 'cli-progress';

/** A bar on a terminal: how far, how many a second, how long it will still take. */
export interface Progress {
  /** `value` of the total that the stage began with, `count` records so far. */
  update(value: number, count: number): void;
  stop(): void;
}

/** Begins a stage of `total` (any unit; 0 where it is unknown), told as `what`. Shows nothing unless `shown`. */
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
      // A process that is ended with Ctrl-C would not give it back.
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
