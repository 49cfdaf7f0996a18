/** Lists of names, one of which must be held whole. An empty list is always held. */
export type AnyOf = readonly (readonly string[])[];

/** More lists than that are not compared. Composition writes them out, and people write a few. */
const maxLists = 1_000;

/**
 * Reads such lists from an argument, with GraphQL's coercion of single values to lists. As in composition, no
 * list at all means that nothing is required. Returns undefined if the value is anything else.
 */
export const anyOf = (value: unknown): AnyOf | undefined => {
  const lists: readonly unknown[] = Array.isArray(value) ? value : [value];
  const names = lists.map((list): readonly unknown[] => (Array.isArray(list) ? list : [list]));
  if (!names.every((list): list is string[] => list.every((name) => typeof name === 'string')))
    return undefined;
  return names.length === 0 ? [[]] : simplified(names);
};

/** Returns what a viewer holds who has one list of each. */
export const conjunction = (all: readonly AnyOf[]): AnyOf =>
  all.reduce<AnyOf>((left, right) => {
    const both = simplified(left.flatMap((one) => right.map((other) => [...one, ...other])));
    if (both.length > maxLists)
      throw new Error('the requirements of an interface have too many alternatives');
    return both;
  }, always);

const always: AnyOf = [[]];

/** Returns true if a viewer who holds a list of `left` always holds a list of `right`. */
export const implies = (left: AnyOf, right: AnyOf): boolean =>
  left.every((one) => right.some((other) => other.every((name) => one.includes(name))));

/** Sorts names and lists, and leaves out each list that contains another one. */
const simplified = (lists: AnyOf): AnyOf => {
  const sorted = new Map(
    lists.map((list) => {
      const names = [...new Set(list)].sort();
      return [JSON.stringify(names), names] as const;
    }),
  );
  const all = [...sorted.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, names]) => names);
  return all.filter(
    (one) =>
      !all.some(
        (other) => other !== one && other.length < one.length && other.every((name) => one.includes(name)),
      ),
  );
};
