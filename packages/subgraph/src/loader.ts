import DataLoader from 'dataloader';

/**
 * A DataLoader that lives as long as the process and batches over all requests of a tick. It remembers nothing:
 * a value is read afresh for each tick, so no request sees another's past. Equal keys of one tick are asked once.
 *
 * `find` gets distinct keys (at most `maxBatchSize`) and answers a map by `keyOf`; a key it leaves out loads as
 * `missing(key)`. An error of `find` rejects every load of the batch; an `Error` as a map's value rejects that one load.
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
      // Not DataLoader's own end of tick: requests whose bytes arrived in one poll phase resolve one after the other,
      // and setImmediate runs behind the last of them. What was remembered for this tick is forgotten before it is asked.
      batchScheduleFn: (dispatch) =>
        setImmediate(() => {
          loader.clearAll();
          dispatch();
        }),
    },
  );
  return { load: (key) => loader.load(key) };
};
