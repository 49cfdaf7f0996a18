import type { Logger } from '@cinegraph/service/logger';
import { BrokerRefused } from '../broker.js';
import { explainError } from './explain-error.js';

/** What the Kafka clients of one process share about their connection to the cluster. */
export interface ConnectionState {
  /** Returns whether the last request or connection to the cluster succeeded. */
  readonly isAvailable: () => boolean;
  readonly markAvailable: () => void;
  readonly markUnavailable: () => void;
  /**
   * Returns a {@link BrokerRefused} for an error that retrying cannot end, such as a wrong password, and logs
   * its sentence once until the cluster is available again. Returns every other error unchanged.
   */
  readonly explain: (error: unknown) => unknown;
  /** Returns whether the cluster refuses us; other errors are then consequences of the refusal. */
  readonly isRefused: () => boolean;
  /** Returns whether the line was logged in the last ten seconds; if not, it counts as logged now. */
  readonly isRepeated: (line: string) => boolean;
}

const repeatAfterMs = 10_000;
const maxRememberedLines = 200;

/** Returns the state before the first connection: the cluster is not available. */
export const createConnectionState = (logger: Logger): ConnectionState => {
  let available = false;
  let refusal: string | undefined;
  const loggedAt = new Map<string, number>();
  return {
    isAvailable: () => available,
    markAvailable: () => {
      available = true;
      refusal = undefined;
    },
    markUnavailable: () => {
      available = false;
    },
    explain: (error) => {
      const sentence = explainError(error);
      if (sentence === undefined) return error;
      available = false;
      if (sentence !== refusal) logger.error(sentence);
      refusal = sentence;
      return new BrokerRefused(sentence);
    },
    isRefused: () => refusal !== undefined,
    isRepeated: (line) => {
      const now = performance.now();
      const last = loggedAt.get(line);
      if (last !== undefined && now - last < repeatAfterMs) return true;
      if (loggedAt.size >= maxRememberedLines) loggedAt.clear();
      loggedAt.set(line, now);
      return false;
    },
  };
};
