import type { Clock } from '@cinegraph/service/clock';

/** How a fetch is admitted: as usual, or to find out whether the subgraph works again. */
export type Admission = 'usual' | 'probe';

/** Keeps fetches from a subgraph that fails, so that they fail at once. */
export interface Breaker {
  /** Returns undefined if the fetch must not be sent. */
  admit(): Admission | undefined;
  /** Reports how an admitted fetch ended. Leave it out if the end says nothing about the subgraph. */
  record(admission: Admission, failed: boolean): void;
}

/** The share of each new fetch in the failure ratio; older fetches fade. */
const share = 0.15;

/**
 * The failure ratio above which the breaker opens: after ten failures in a row, or if nearly everything
 * fails. A subgraph that fails every second time stays below it, and still serves the other half.
 */
const openAbove = 0.8;

/** How often an open breaker admits a probe, so that a subgraph is used again soon after its return. */
const probeEveryMs = 1_000;

/**
 * Creates the breaker of one subgraph, closed. When most fetches fail, it opens: it admits one probe a
 * second, and closes as soon as a probe succeeds. `onChange` is called with `true` when it opens, and with
 * `false` when it closes.
 */
export const createBreaker = (clock: Clock, onChange: (open: boolean) => void): Breaker => {
  let failureRatio = 0;
  /** When the breaker opened or admitted its last probe; undefined while it is closed. */
  let probedAtMs: number | undefined;

  return {
    admit: () => {
      if (probedAtMs === undefined) return 'usual';
      const nowMs = clock.now().getTime();
      const elapsedMs = nowMs - probedAtMs;
      // A clock that was set back must not keep the breaker open.
      if (elapsedMs >= 0 && elapsedMs < probeEveryMs) return undefined;
      probedAtMs = nowMs;
      return 'probe';
    },
    record: (admission, failed) => {
      if (probedAtMs === undefined) {
        failureRatio += ((failed ? 1 : 0) - failureRatio) * share;
        if (failureRatio <= openAbove) return;
        probedAtMs = clock.now().getTime();
        onChange(true);
      } else if (admission === 'probe' && !failed) {
        probedAtMs = undefined;
        failureRatio = 0;
        onChange(false);
      }
    },
  };
};
