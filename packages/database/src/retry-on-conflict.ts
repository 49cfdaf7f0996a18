import { isConflict } from './store-errors.js';

/**
 * Runs a transaction, and runs it again from its beginning if it lost a deadlock or a serialization conflict,
 * at most `attempts` times in all. `isRetryable` replaces that condition, e.g. to include a unique key that a
 * concurrent transaction took. Rejects with the last error.
 */
export const retryOnConflict = async <Result>(
  run: () => Promise<Result>,
  {
    attempts = 10,
    isRetryable = isConflict,
  }: {
    readonly attempts?: number;
    readonly isRetryable?: (error: unknown) => boolean;
  } = {},
): Promise<Result> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (attempt >= attempts || !isRetryable(error)) throw error;
    }
  }
};
