import DataLoader from 'dataloader';

/**
 * Creates a DataLoader that is used for the whole process and batches the loads of all requests of a tick.
 * Equal keys of a tick are read once. Nothing is cached beyond the tick, so that no request sees a value read
 * for an earlier one.
 *
 * `find` gets distinct keys, at most `maxBatchSize`, and returns a map by `keyOf`. A key that is not in the
 * map loads as `missing(key)`. If `find` fails, every load of the batch rejects; an `Error` in the map
 * rejects only its own load.
 */
export const createLoader = <Key, Value, Missing>(options: {
  find: (keys: readonly Key[]) => Promise<ReadonlyMap<string, Value | Error>>;
  keyOf: (key: Key) => string;
  missing: (key: Key) => Missing;
  maxBatchSize?: number;
}): { load: (key: Key) => Promise<Value | Missing> } => {
  const { find, keyOf, missing, maxBatchSize = 1000 } = options;
  const loader = new DataLoader<Key, Value | Missing, string>(
    async (keys) => {
      const found = await find(keys);
      return keys.map((key) => {
        const value = found.get(keyOf(key));
        return value === undefined ? missing(key) : value;
      });
    },
    {
      cacheKeyFn: keyOf,
      maxBatchSize,
      // DataLoader's own end of tick is too early: requests whose bytes arrived in one poll phase resolve one
      // after the other, and setImmediate runs after the last of them. The cache is cleared before the batch
      // is read.
      batchScheduleFn: (dispatch) =>
        setImmediate(() => {
          loader.clearAll();
          dispatch();
        }),
    },
  );
  return { load: (key) => loader.load(key) };
};
