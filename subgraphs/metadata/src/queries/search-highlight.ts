/** A part of a text, and whether the search matched it. The segments of a text, joined, are the text. */
export interface Segment {
  readonly text: string;
  readonly matched: boolean;
}

/** A text split into words. `start` and `end` of a word count UTF-16 units. */
export interface SplitText {
  readonly text: string;
  readonly words: readonly { readonly start: number; readonly end: number }[];
}

/** The characters between words, for a bracket expression. `search_fold` in the migration lists the same. */
export const wordSeparators =
  '\\u0001-\\u0026\\u0028-\\u002f\\u003a-\\u0040\\u005b-\\u0060\\u007b-\\u00a9\\u00ab-\\u00b1\\u00b4\\u00b6-\\u00b8\\u00bb\\u00bf\\u00d7\\u00f7' +
  '\\u2000-\\u2018\\u201a-\\u206f\\u20a0-\\u20cf\\u2190-\\u2bff\\u2e00-\\u2e7f\\u3000-\\u3004\\u3008-\\u3020\\u3030\\ufe10-\\ufe6f\\ufeff\\uff01-\\uff0f\\uff1a-\\uff20';

const word = new RegExp(`[^${wordSeparators}]+`, 'gu');

/** Splits a text into words exactly as PostgreSQL splits it with the same separators. */
export const wordsIn = (text: string): SplitText => ({
  text,
  words: Array.from(text.matchAll(word), ({ 0: { length }, index }) => ({
    start: index,
    end: index + length,
  })),
});

/**
 * Returns the segments of a text. `folded` holds the folded form of each of its words, in order.
 *
 * A word that equals a term or a correction is matched as a whole. A word that begins with a term or contains
 * it is matched in part; of the terms of one or two letters only the last one counts, which may be half
 * typed. If folding changed the length of a word, its letters cannot be mapped to the folded ones, so it is
 * matched as a whole.
 */
export const highlight = (
  { text, words }: SplitText,
  folded: readonly string[],
  { terms, corrections }: { terms: readonly string[]; corrections: readonly string[] },
): readonly Segment[] => {
  const segments: { text: string; matched: boolean }[] = [];
  const add = (start: number, end: number, matched: boolean) => {
    if (start === end) return;
    const last = segments.at(-1);
    if (last?.matched === matched) last.text += text.slice(start, end);
    else segments.push({ text: text.slice(start, end), matched });
  };
  let done = 0;
  for (const [index, { start, end }] of words.entries()) {
    const [from, to] = matchIn(text.slice(start, end), folded[index] ?? '', terms, corrections);
    add(done, start + from, false);
    add(start + from, start + to, true);
    done = start + to;
  }
  add(done, text.length, false);
  return segments;
};

/** Returns the matched range of a word in UTF-16 units, or two zeros if nothing matches. */
const matchIn = (
  original: string,
  folded: string,
  terms: readonly string[],
  corrections: readonly string[],
): readonly [from: number, to: number] => {
  const whole = [0, original.length] as const;
  if (folded.split(' ').some((part) => terms.includes(part))) return whole;
  const last = terms.at(-1);
  const partial = terms.filter((term) => term.length > 2 || term === last);
  const longest = (found: readonly string[]) => found.toSorted((a, b) => b.length - a.length)[0];
  const term =
    longest(partial.filter((one) => folded.startsWith(one))) ??
    longest(partial.filter((one) => one.length > 2 && folded.includes(one)));
  if (term === undefined) return corrections.includes(folded) ? whole : [0, 0];
  const letters = Array.from(original);
  if (letters.length !== Array.from(folded).length) return whole;
  const before = Array.from(folded.slice(0, folded.indexOf(term))).length;
  const lengthOf = (count: number) => letters.slice(0, count).join('').length;
  return [lengthOf(before), lengthOf(before + Array.from(term).length)];
};
