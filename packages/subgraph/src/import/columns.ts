/**
 * Returns the sentence that names every requested column which the header of a table lacks, and the names of
 * the header that were probably meant.
 */
export const columnsMissing = (
  name: string,
  header: readonly string[],
  columns: readonly string[],
): string => {
  const missing = columns.filter((column) => !header.includes(column));
  const others = header.filter((column) => column !== '' && !columns.includes(column));
  const renames = missing.flatMap((column) => {
    const nearest = nearestOf(column, others);
    return nearest === undefined ? [] : [`"${nearest}" to "${column}"`];
  });
  const names = missing.map((column) => `"${column}"`).join(', ');
  const shown = header.join(', ').slice(0, maxShown);
  const advice = renames.length > 0 ? ` Rename ${renames.join(', ')}.` : '';
  return `${name} has no ${missing.length > 1 ? 'columns' : 'column'} ${names}. Its first line names: ${shown}.${advice}`;
};

const maxShown = 200;

/** Returns the name that differs least, apart from case and punctuation; undefined if all differ too much. */
const nearestOf = (column: string, names: readonly string[]): string | undefined => {
  const differences = names.map((name) => [differencesOf(plain(column), plain(name)), name] as const);
  const [least] = differences.toSorted(([a], [b]) => a - b);
  // One letter in three may differ, so that a short name is not taken for any other.
  return least && least[0] <= Math.min(2, Math.floor(column.length / 3)) ? least[1] : undefined;
};

const plain = (name: string): string =>
  name
    .slice(0, maxShown)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');

/** Returns how many letters must be changed, inserted or removed to get from one text to the other. */
const differencesOf = (one: string, other: string): number => {
  let above = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const next = [row];
    for (let at = 1; at <= other.length; at += 1) {
      const changed = (above[at - 1] ?? 0) + (one[row - 1] === other[at - 1] ? 0 : 1);
      next.push(Math.min(changed, (above[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1));
    }
    above = next;
  }
  return above.at(-1) ?? 0;
};
