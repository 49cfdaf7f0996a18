import { sourceIdOf } from '../rules.js';

/** What films of different sources are compared by. */
export interface Film {
  readonly id: string;
  readonly title: string;
  readonly year: number | null;
  /** The names of the directors; empty if the source does not have them. */
  readonly directors: readonly string[];
  readonly externalIds: readonly { readonly source: string; readonly value: string }[];
}

/** The result of matching a film: the id of its match, the possible ones, or undefined if there is none. */
export type Match = { readonly id: string } | { readonly ambiguous: readonly string[] } | undefined;

/**
 * Matches a film of one source with the films of others. `candidates` are the films of other sources, and
 * `rivals` those of the film's own source, of which each may be the better match for a candidate. Two films
 * match if each agrees best with the other and with no third one as well. So the result is the same,
 * whichever source is imported first. If two agree equally well, the film is ambiguous.
 */
export const matchFilm = (film: Film, candidates: readonly Film[], rivals: readonly Film[]): Match => {
  const best = bestOf(film, candidates);
  const [only] = best;
  if (!only) return undefined;
  if (best.length > 1) return { ambiguous: best.map(({ id }) => id) };
  const others = bestOf(only, [film, ...rivals.filter(({ id }) => id !== film.id)]);
  if (!others.some(({ id }) => id === film.id)) return undefined;
  return others.length > 1 ? { ambiguous: [only.id] } : { id: only.id };
};

const bestOf = (film: Film, others: readonly Film[]): readonly Film[] => {
  const ranked = others.map((other) => ({ other, agreement: agreementOf(film, other) }));
  const highest = Math.max(0, ...ranked.map(({ agreement }) => agreement));
  return highest === 0
    ? []
    : ranked.filter(({ agreement }) => agreement === highest).map(({ other }) => other);
};

/**
 * Returns how well two films agree: 2 if they have a title and the year in common, 1 if the years are next to
 * each other and the director is the same, and 0 if they are different films. Films without a year, with
 * different directors, or with different ids of one source are different films.
 */
export const agreementOf = (one: Film, other: Film): 0 | 1 | 2 => {
  if (!mayBeOne(one, other)) return 0;
  if (one.year === other.year) return 2;
  return one.directors.length > 0 && other.directors.length > 0 ? 1 : 0;
};

/**
 * Returns whether two films may be one: whether they have a title in common, years at most one apart, and
 * neither different directors nor different ids of one source. A person decides about those that do not
 * agree.
 */
export const mayBeOne = (one: Film, other: Film): boolean => {
  if (one.year === null || other.year === null || Math.abs(one.year - other.year) > 1) return false;
  if (!shareTitle(one, other) || contradict(one, other)) return false;
  const directors = new Set(one.directors.map(nameKeyOf));
  return (
    directors.size === 0 ||
    other.directors.length === 0 ||
    other.directors.some((name) => directors.has(nameKeyOf(name)))
  );
};

const shareTitle = (one: Film, other: Film): boolean => {
  const keys = new Set(titleKeysOf(one.title));
  return titleKeysOf(other.title).some((key) => keys.has(key));
};

/** Whether both films have ids of the same source, and none of these in common. */
const contradict = (one: Film, other: Film): boolean => {
  const ids = namesOf(one);
  return [...namesOf(other)].some(([source, values]) => {
    const known = ids.get(source);
    return known !== undefined && !values.some((value) => known.includes(value));
  });
};

/** Returns the ids of a film by their source. The id `vega:7` of a film is its id 7 of the source vega. */
const namesOf = ({ id, externalIds }: Film): ReadonlyMap<string, readonly string[]> => {
  const names = new Map<string, string[]>();
  for (const { source, value } of [...externalIds, ...sourceIdOf(id)]) {
    names.set(source, [...(names.get(source) ?? []), value]);
  }
  return names;
};

/**
 * Returns the keys by which titles are compared: of the title itself and of each other title that it has in
 * parentheses, e.g. `Amelie (Fabuleux destin d'Amélie Poulain, Le)`. Case, accents, punctuation, articles and
 * the spelling of "and" do not count. Roman numerals from II to IX equal digits, unless they come first. I, V
 * and X stay letters, because of titles such as Malcolm X.
 */
export const titleKeysOf = (title: string): readonly string[] => {
  const others = [...title.matchAll(/\(([^()]*)\)/g)].map(([, text = '']) =>
    text.replace(/^a\.?k\.?a\.? /i, ''),
  );
  const main = others.length === 0 ? title : title.replace(/\([^()]*\)/g, ' ');
  // A short text in parentheses is a part or a year rather than a title.
  const keys = [main, ...others.filter((text) => text.length >= 5)].map(titleKeyOf);
  return [...new Set(keys.filter((key) => key !== ''))];
};

const articles: ReadonlySet<string> = new Set(['the', 'a', 'an']);

const titleKeyOf = (title: string): string => {
  const moved = title.replace(/^(.*), ([a-z]{1,3})$/is, '$2 $1');
  const words = wordsOf(moved);
  const kept = words.filter((word, at) => !(word === 'the' || (at === 0 && articles.has(word))));
  return (kept.length === 0 ? words : kept)
    .map((word, at) => (at === 0 ? word : (spellings.get(word) ?? word)))
    .join('');
};

/** One spelling for words that sources write in different ways, wherever they come after the first word. */
const spellings: ReadonlyMap<string, string> = new Map([
  ...['ii', 'iii', 'iv', 'vi', 'vii', 'viii', 'ix'].map(
    (numeral, at) => [numeral, String(at < 3 ? at + 2 : at + 3)] as const,
  ),
  ['vs', 'versus'],
  ['vol', 'volume'],
  ['ep', 'episode'],
  ['pt', 'part'],
]);

const nameKeyOf = (name: string): string => wordsOf(name).join('');

const wordsOf = (text: string): readonly string[] =>
  text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/['’`]/g, '')
    .replace(/&/g, ' and ')
    .replace(/[ßæœøłđ]/g, (letter) => letters[letter] ?? letter)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');

/** Letters that Unicode does not decompose. */
const letters: Readonly<Record<string, string>> = { ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd' };
