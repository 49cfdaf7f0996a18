import { setTimeout as delay } from 'node:timers/promises';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** Waits for movies that metadata has created and whose events have not arrived yet. */
export interface MovieArrivals {
  /**
   * Resolves with true as soon as the movie is found, and with false after one second. Rejects if the movies
   * cannot be read, and with `OVERLOADED` while too many commands wait.
   */
  wait(movieId: string): Promise<boolean>;
}

interface Waiter {
  readonly movieId: string;
  readonly until: number;
  readonly resolve: (found: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** How often the movies of all waiters are looked up, by one statement. */
const pollMs = 25;

const maxWaiting = 1_000;

/**
 * Creates the arrivals on `find`, which returns those of the given movies that are known or deleted. Movies
 * are looked up in the database, so that it does not matter which replica consumes the event. Nothing runs
 * while nobody waits.
 */
export const createMovieArrivals = (
  find: (movieIds: readonly string[]) => Promise<Iterable<string>>,
  waitMs = 1_000,
): MovieArrivals => {
  const waiting = new Set<Waiter>();
  let polling = false;

  const lookUp = async (asked: readonly Waiter[]): Promise<void> => {
    try {
      const found = new Set(await find([...new Set(asked.map(({ movieId }) => movieId))]));
      const now = performance.now();
      for (const waiter of asked) {
        if (!found.has(waiter.movieId) && now < waiter.until) continue;
        waiting.delete(waiter);
        waiter.resolve(found.has(waiter.movieId));
      }
    } catch (error) {
      for (const waiter of asked) {
        waiting.delete(waiter);
        waiter.reject(error);
      }
    }
  };

  const poll = async (): Promise<void> => {
    polling = true;
    while (waiting.size > 0) {
      await delay(pollMs);
      await lookUp([...waiting]);
    }
    polling = false;
  };

  return {
    wait: (movieId) =>
      new Promise((resolve, reject) => {
        if (waiting.size >= maxWaiting) {
          reject(
            new Refusal(
              refusalCode.overloaded,
              'Too many requests wait for movies that are not known. Try again later.',
            ),
          );
          return;
        }
        waiting.add({ movieId, until: performance.now() + waitMs, resolve, reject });
        if (!polling) void poll();
      }),
  };
};
