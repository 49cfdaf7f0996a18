import { isDay, limits, slugOf } from '../rules.js';
import type { SourceMovieInput } from './source-movie.js';

/** A movie of a source within the limits, and the names of the fields of which something was left out. */
export interface FittedMovie {
  readonly movie: SourceMovieInput;
  readonly dropped: readonly string[];
}

/**
 * Leaves out what exceeds a limit of the schema, so that a movie is not lost for one value: a year or a
 * runtime out of range, a description that is too long, a genre or a person whose name is too long, and what
 * is too many in a list. The title is not touched, because a movie needs it. A value of the wrong form is not
 * touched either: it shows that the record cannot be trusted.
 */
export const fitLimits = (movie: SourceMovieInput): FittedMovie => {
  const dropped: string[] = [];
  const keepIf = <Value>(field: string, value: Value, fits: boolean): Value | null => {
    if (fits || value === null) return value;
    dropped.push(field);
    return null;
  };
  const keepItems = <Item>(
    field: string,
    items: readonly Item[],
    max: number,
    fits: (item: Item) => boolean,
  ): readonly Item[] => {
    const kept = items.filter(fits).slice(0, max);
    if (kept.length < items.length) dropped.push(field);
    return kept;
  };
  const { releaseDate = null, releaseYear, genres = [], facts = {} } = movie;
  const { description, runtimeMinutes, directors, cast, externalIds, languages } = facts;
  const date = keepIf(
    'releaseDate',
    releaseDate,
    releaseDate === null || !isDay(releaseDate) || isYear(Number(releaseDate.slice(0, 4))),
  );
  return {
    dropped,
    movie: {
      ...movie,
      releaseDate: date,
      ...(releaseYear !== undefined && {
        releaseYear: keepIf('releaseYear', releaseYear, releaseYear === null || isYear(releaseYear)),
      }),
      genres: keepItems(
        'genres',
        genres,
        limits.genres,
        (name) => isNoLongerThan(limits.genreName, name) && slugOf(name) !== '',
      ),
      facts: {
        ...facts,
        ...(description != null && {
          description: keepIf('description', description, isNoLongerThan(limits.description, description)),
        }),
        ...(runtimeMinutes != null && {
          runtimeMinutes: keepIf(
            'runtimeMinutes',
            runtimeMinutes,
            runtimeMinutes >= 1 && runtimeMinutes <= limits.runtimeMinutes,
          ),
        }),
        ...(languages && { languages: keepItems('languages', languages, limits.languages, () => true) }),
        ...(directors && {
          directors: keepItems('directors', directors, limits.directors, ({ name }) => isName(name)),
        }),
        ...(cast && {
          cast: keepItems(
            'cast',
            cast,
            limits.cast,
            ({ person, character }) => isName(person.name) && (character === null || isName(character)),
          ),
        }),
        ...(externalIds && {
          externalIds: keepItems('externalIds', externalIds, limits.externalIds, () => true),
        }),
      },
    },
  };
};

const isYear = (year: number): boolean => year >= limits.firstYear && year <= limits.lastYear;

const isName = (text: string): boolean => isNoLongerThan(limits.name, text);

const isNoLongerThan = (max: number, text: string): boolean => Array.from(text).length <= max;
