/**
 * Returns a deep copy of a JSON value. Anything that is neither a list nor a plain object is returned as it
 * is. A key `__proto__` is left out, because it would set the prototype of the copy.
 */
export const copyOf = <Value>(value: Value): Value => copyJson(value) as Value;

/** Returns the value itself the first time, which is noted in `taken` by its position, and then copies. */
export const takeOrCopy = <Value>(value: Value, position: number, taken: boolean[]): Value => {
  if (taken[position]) return copyOf(value);
  taken[position] = true;
  return value;
};

const copyJson = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    return items.map(copyJson);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const source = value as Record<string, unknown>;
  const copy: Record<string, unknown> = {};
  for (const key in source) if (key !== '__proto__') copy[key] = copyJson(source[key]);
  return copy;
};
