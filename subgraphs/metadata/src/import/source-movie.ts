import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import type { SourceRecord } from '@cinegraph/subgraph/import/importer';
import { findUnstorableText } from '@cinegraph/database/storable-text';
import type { Certification, ExternalIdInput } from '../generated/resolvers.js';
import type { GenreModel, MoneyModel, PersonModel } from '../models.js';
import { checkMovie, checkMovieId, genresOf, isDay, isDecimal, settleRelease } from '../rules.js';

/** The facts of a movie that both sources and people may change. Each fact is reconciled as a whole. */
export interface MovieFacts {
  readonly title: string;
  readonly description: string | null;
  readonly release: { readonly date: string | null; readonly year: number | null };
  readonly runtimeMinutes: number | null;
  readonly certification: Certification | null;
  readonly languages: readonly string[];
  readonly posterUrl: string | null;
  readonly productionBudget: MoneyModel | null;
  readonly worldwideGross: MoneyModel | null;
  readonly domesticGross: MoneyModel | null;
  readonly domesticDvdSales: MoneyModel | null;
  readonly genres: readonly GenreModel[];
  readonly directors: readonly PersonModel[];
  readonly cast: readonly { readonly person: PersonModel; readonly character: string | null }[];
  readonly externalIds: readonly ExternalIdInput[];
}

/** A rating that a source publishes. Only imports write it. `votes` is null if the source has no count. */
export interface PublishedRating {
  readonly source: string;
  readonly average: number;
  readonly votes: number | null;
  readonly scaleTop: number;
}

/** A movie as an external source describes it, within the limits of the schema. */
export interface SourceMovie {
  readonly id: string;
  readonly facts: MovieFacts;
  readonly externalRatings: readonly PublishedRating[];
}

/** What the reader of a source provides for a movie. It leaves out what the source does not contain. */
export interface SourceMovieInput {
  readonly id: string;
  readonly title: string;
  readonly facts?: Partial<Omit<MovieFacts, 'title' | 'release' | 'genres'>>;
  readonly releaseDate?: string | null;
  readonly releaseYear?: number | null;
  readonly genres?: readonly string[];
  readonly externalRatings?: readonly PublishedRating[];
  /** The fields that the reader left out, because their values are none. */
  readonly leftOut?: readonly string[];
}

/** The facts of a movie of which nothing is known. */
export const nothingKnown: MovieFacts = {
  title: '',
  description: null,
  release: { date: null, year: null },
  runtimeMinutes: null,
  certification: null,
  languages: [],
  posterUrl: null,
  productionBudget: null,
  worldwideGross: null,
  domesticGross: null,
  domesticDvdSales: null,
  genres: [],
  directors: [],
  cast: [],
  externalIds: [],
};

/** The facts without which a movie is still worth having. */
const optionalFacts = new Set([
  ...['description', 'runtimeMinutes', 'posterUrl', 'releaseDate'],
  ...['productionBudget', 'worldwideGross', 'domesticGross', 'domesticDvdSales'],
]);
const optionalLists = new Set(['genres', 'languages', 'directors', 'cast', 'externalIds']);

/** More items than any list may have; what follows them is left out at once. */
const mostItems = 200;

/**
 * Returns the movie without the fact that a refusal names, or undefined if it cannot be left out. Of a list
 * only the named item is left out, or the last one of too many.
 */
const without = (input: SourceMovieInput, field: string): SourceMovieInput | undefined => {
  const [name = '', index] = field.split('.');
  const facts: Readonly<Record<string, unknown>> = { ...input.facts, ...input };
  if (name === 'releaseYear') {
    // Without a year it follows from the date.
    const { releaseYear, ...others } = input;
    return releaseYear === undefined ? undefined : others;
  }
  if (optionalFacts.has(name) && facts[name] != null)
    return { ...input, [name]: null, facts: { ...input.facts, [name]: null } };
  const list = facts[name];
  if (!optionalLists.has(name) || !Array.isArray(list) || list.length === 0) return undefined;
  const kept: unknown[] =
    index === undefined
      ? list.slice(0, Math.min(list.length - 1, mostItems))
      : list.filter((_, at) => at !== Number(index));
  return name === 'genres'
    ? { ...input, genres: kept as string[] }
    : { ...input, facts: { ...input.facts, [name]: kept } };
};

/**
 * Converts a movie of a source to an import record, by the same rules as a mutation. A fact that breaks a
 * rule is left out, because a movie should not be lost for its runtime; `leftOut` names it. A movie without a
 * usable id or title is refused.
 */
export const toSourceRecord = (record: string, input: SourceMovieInput): SourceRecord<SourceMovie> => {
  const bad = findUnstorableText(input, '');
  if (bad !== undefined) return { record, refused: `${bad} holds a character that cannot be stored` };
  const leftOut: string[] = [...(input.leftOut ?? [])];
  let checked = input;
  for (;;) {
    try {
      return { record, item: checkedMovie(checked), ...(leftOut.length > 0 && { leftOut }) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const field = String(error.details?.['field']);
      const less = without(checked, field);
      if (!less) return { record, refused: error.message };
      const [name = ''] = field.split('.');
      if (!leftOut.includes(name)) leftOut.push(name);
      checked = less;
    }
  }
};

/** Returns the movie, or throws a refusal with the field that breaks a rule. */
const checkedMovie = (input: SourceMovieInput): SourceMovie => {
  const { id, title, facts = {}, releaseDate = null, releaseYear, genres = [], externalRatings = [] } = input;
  if (releaseDate !== null && !isDay(releaseDate)) throw unusable('releaseDate', 'is not a valid day');
  const known = { ...nothingKnown, ...facts };
  const { productionBudget, worldwideGross, domesticGross, domesticDvdSales } = known;
  const amounts = { productionBudget, worldwideGross, domesticGross, domesticDvdSales };
  for (const [field, money] of Object.entries(amounts)) {
    if (money !== null && !isDecimal(money.amount)) throw unusable(field, 'cannot be stored');
  }
  const year = releaseYear === undefined ? {} : { releaseYear };
  checkMovieId(id);
  checkMovie({
    ...known,
    title,
    releaseDate,
    ...year,
    genres,
    directors: known.directors.map(({ name }) => ({ name })),
    cast: known.cast.map(({ person: { name }, character }) => ({ person: { name }, character })),
  });
  const release = settleRelease({ releaseDate: null, releaseYear: null }, { releaseDate, ...year });
  return {
    id,
    facts: {
      ...known,
      title,
      release: { date: release.releaseDate, year: release.releaseYear },
      genres: genresOf(genres),
    },
    externalRatings,
  };
};

const unusable = (field: string, why: string): Refusal =>
  new Refusal(refusalCode.badUserInput, `The field ${field} ${why}.`, { field });
