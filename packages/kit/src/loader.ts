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
  const loader = new DataLoader<Key, Value | Missing>(
    async (keys) => {
      const distinct = new Map<string, Key>();
      for (const key of keys) distinct.set(keyOf(key), key);
      const found = await find([...distinct.values()]);
      return keys.map((key) => {
        const value = found.get(keyOf(key));
        return value === undefined ? missing(key) : value;
      });
    },
    {
      cache: false,
      maxBatchSize,
      // Not DataLoader's own end of tick: requests whose bytes arrived in one poll phase resolve one after the other,
      // and setImmediate runs behind the last of them.
      batchScheduleFn: (dispatch) => setImmediate(dispatch),
    },
  );
  return { load: (key) => loader.load(key) };
};
