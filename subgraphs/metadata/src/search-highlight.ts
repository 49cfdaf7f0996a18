/** A piece of a text, and whether the search matched it. The pieces of a text, put together, are the text. */
export interface Segment {
  readonly text: string;
  readonly matched: boolean;
}

/** A text cut into words, with where each begins and ends in UTF-16 units. */
export interface CutText {
  readonly text: string;
  readonly words: readonly { readonly start: number; readonly end: number }[];
}

/** What separates words, inside a bracket of a regular expression: the list of `search_fold` in the migration. */
export const wordSeparators =
  '\\u0001-\\u0026\\u0028-\\u002f\\u003a-\\u0040\\u005b-\\u0060\\u007b-\\u00a9\\u00ab-\\u00b1\\u00b4\\u00b6-\\u00b8\\u00bb\\u00bf\\u00d7\\u00f7' +
  '\\u2000-\\u2018\\u201a-\\u206f\\u20a0-\\u20cf\\u2190-\\u2bff\\u2e00-\\u2e7f\\u3000-\\u3004\\u3008-\\u3020\\u3030\\ufe10-\\ufe6f\\ufeff\\uff01-\\uff0f\\uff1a-\\uff20';

const word = new RegExp(`[^${wordSeparators}]+`, 'gu');

/** The words of a text, as PostgreSQL cuts it with the same separators. */
export const wordsIn = (text: string): CutText => ({
  text,
  words: Array.from(text.matchAll(word), ({ 0: { length }, index }) => ({
    start: index,
    end: index + length,
  })),
});

/**
 * The segments of a text. `folded` are its words in folded form, in order; a word is matched whole where it is a term or
 * a correction, and in part where a term is its beginning or stands within it (of one or two letters only the last term,
 * which may be half typed). Where folding changed a word's length its letters cannot be told apart: it is matched whole.
 */
export const highlight = (
  { text, words }: CutText,
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

/** Where in a word the match lies, in UTF-16 units; two zeros where there is none. */
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
