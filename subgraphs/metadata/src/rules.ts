import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import type {
  ExternalIdInput,
  GenreModel,
  MovieChanges,
  MovieFilter,
  MovieModel,
  PersonInput,
} from './models.js';

/** The limits of a movie's fields, as the schema states them. Lengths count Unicode characters. */
const limits = {
  title: 300,
  description: 5_000,
  runtimeMinutes: 6_000,
  genres: 20,
  genreName: 50,
  directors: 20,
  cast: 200,
  name: 200,
  languages: 20,
  externalIds: 20,
  posterUrl: 2_000,
  searchText: 200,
  nodeIds: 100,
  firstYear: 1870,
  lastYear: 2199,
} as const;

/** Throws BAD_USER_INPUT with the name of the first field that breaks a limit of the schema. */
export const checkMovie = (movie: MovieChanges): void => {
  const { title, description, releaseDate, releaseYear, runtimeMinutes, posterUrl } = movie;
  if (title === null) throw refused('title', 'A movie needs a title; it cannot be cleared.');
  if (title !== undefined) checkText('title', title, limits.title);
  if (description != null && lengthOf(description) > limits.description) {
    throw refused('description', `It may have at most ${limits.description} characters.`);
  }
  if (releaseYear != null) checkRange('releaseYear', releaseYear, limits.firstYear, limits.lastYear);
  if (releaseDate != null && releaseYear !== undefined && releaseYear !== yearOf(releaseDate)) {
    throw refused('releaseYear', 'It must be the year of the release date, or be left out.');
  }
  if (runtimeMinutes != null) checkRange('runtimeMinutes', runtimeMinutes, 1, limits.runtimeMinutes);
  if (posterUrl != null) checkPosterUrl(posterUrl);

  checkCount('genres', movie.genres, limits.genres);
  movie.genres?.forEach((name, index) => {
    checkText(`genres.${index}`, name, limits.genreName);
    if (slugOf(name) === '') throw refused(`genres.${index}`, 'A genre needs a letter or digit in its name.');
  });
  checkCount('languages', movie.languages, limits.languages);
  movie.languages?.forEach((tag, index, all) => {
    if (!isLanguage(tag)) throw refused(`languages.${index}`, 'It must be a BCP 47 tag, e.g. en or pt-BR.');
    if (all.indexOf(tag) < index) throw refused(`languages.${index}`, 'Each language may be named once.');
  });
  checkCount('directors', movie.directors, limits.directors);
  movie.directors?.forEach((person, index) => checkPerson(`directors.${index}`, person));
  checkCount('cast', movie.cast, limits.cast);
  movie.cast?.forEach(({ person, character }, index) => {
    checkPerson(`cast.${index}.person`, person);
    if (character != null) checkText(`cast.${index}.character`, character, limits.name);
  });
  checkCount('externalIds', movie.externalIds, limits.externalIds);
  movie.externalIds?.forEach((id, index, all) => {
    checkExternalId(`externalIds.${index}`, id);
    if (all.findIndex(({ source, value }) => source === id.source && value === id.value) < index) {
      throw refused(`externalIds.${index}`, 'Each id may be given once.');
    }
  });
};

/** Throws BAD_USER_INPUT for an external id that its source cannot have assigned. */
export const checkExternalId = (field: string, { source, value }: ExternalIdInput): void => {
  if (!/^[a-z][a-z0-9-]{1,31}$/.test(source)) {
    throw refused(
      `${field}.source`,
      'It must be 2 to 32 lower-case letters, digits or dashes, beginning with a letter.',
    );
  }
  const shape = externalIdShapes.get(source) ?? /^[\p{L}\p{M}\p{N}\p{P}\p{S}]{1,100}$/u;
  if (!shape.test(value)) throw refused(`${field}.value`, `It is not an id of ${source}.`);
};

const externalIdShapes: ReadonlyMap<string, RegExp> = new Map([
  ['imdb', /^tt\d{7,10}$/],
  ['tmdb', /^[1-9]\d{0,9}$/],
]);

/**
 * Throws BAD_USER_INPUT for an id that a caller or a source may not give a movie. `node(id)` and the caches
 * of clients need ids that differ between types, so the beginnings of ids of people and ratings are refused.
 */
export const checkMovieId = (id: string): void => {
  if (!/^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$/.test(id)) {
    throw refused(
      'id',
      'It must be 1 to 128 letters, digits or any of : . _ - (the first a letter or digit).',
    );
  }
  if (/^(person|rating):/.test(id)) throw refused('id', 'It must not begin with "person:" or "rating:".');
};

/** Returns the external id that a movie id `<source>:<value>` contains; empty for a UUID. */
export const sourceIdOf = (id: string): readonly { source: string; value: string }[] => {
  const [, source, value] = /^([a-z][a-z0-9]*):(.+)$/s.exec(id) ?? [];
  return source === undefined || value === undefined ? [] : [{ source, value }];
};

/** Throws BAD_USER_INPUT for an empty or overlong title, and for a range that ends before it begins. */
export const checkMovieFilter = ({ title, ...conditions }: MovieFilter): void => {
  const { releaseYear, runtimeMinutes, averageRating, ratingCount, weightedScore } = conditions;
  const ranges = { releaseYear, runtimeMinutes, averageRating, ratingCount, weightedScore };
  if (title != null && (title.length < 1 || title.length > 100)) {
    throw new Refusal(
      refusalCode.badUserInput,
      `The title to search for has ${title.length} characters, but must have from 1 to 100.`,
      { field: 'filter.title' },
    );
  }
  for (const [field, range] of Object.entries(ranges)) {
    if (range?.from != null && range.to != null && range.from > range.to) {
      throw new Refusal(
        refusalCode.badUserInput,
        `The range of ${field} ends (${range.to}) before it begins (${range.from}). Swap "from" and "to".`,
        { field: `filter.${field}` },
      );
    }
  }
};

/** Throws BAD_USER_INPUT for more ids than one request may read. */
export const checkNodeIds = (ids: readonly string[]): void => {
  if (ids.length <= limits.nodeIds) return;
  throw refused('ids', `There are ${ids.length} ids, but at most ${limits.nodeIds} may be read at once.`);
};

/** Throws BAD_USER_INPUT for a search text of spaces only, or of more characters than the schema allows. */
export const checkSearchText = (text: string): void => {
  if (text.trim() !== '' && text.length <= limits.searchText) return;
  throw new Refusal(
    refusalCode.badUserInput,
    `The text to search for must have from 1 to ${limits.searchText} characters, not only spaces.`,
    { field: 'text' },
  );
};

/**
 * Returns the release of a movie after a change. A new date sets the year as well; clearing the date keeps
 * the year. Throws BAD_USER_INPUT for a year that is not the year of the date.
 */
export const settleRelease = (
  current: Pick<MovieModel, 'releaseDate' | 'releaseYear'>,
  { releaseDate = current.releaseDate, releaseYear }: Pick<MovieChanges, 'releaseDate' | 'releaseYear'>,
): { readonly releaseDate: string | null; readonly releaseYear: number | null } => {
  if (releaseDate === null) {
    return { releaseDate, releaseYear: releaseYear === undefined ? current.releaseYear : releaseYear };
  }
  const year = yearOf(releaseDate);
  if (releaseYear !== undefined && releaseYear !== year) {
    throw refused('releaseYear', `It must be the year of the release date, ${releaseDate}.`);
  }
  return { releaseDate, releaseYear: year };
};

/** Returns the genres with these names. Of the names that have the same id, the first one is used. */
export const genresOf = (names: readonly string[]): readonly GenreModel[] => {
  const genres = new Map<string, GenreModel>();
  for (const name of names) {
    const id = slugOf(name);
    if (!genres.has(id)) genres.set(id, { id, name: name.trim() });
  }
  return [...genres.values()];
};

/**
 * Converts a name to a part of an id: lower-case letters without accents and digits, with a dash for each run
 * of other characters. Returns an empty text if the name has neither letters nor digits.
 */
export const slugOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');

/** Returns true if the text is a valid day, YYYY-MM-DD, within the years that the schema states. */
export const isDay = (text: string): boolean => {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== text) return false;
  return yearOf(text) >= limits.firstYear && yearOf(text) <= limits.lastYear;
};

/** Returns true if the text is a decimal within the limits of the schema's Decimal. */
export const isDecimal = (text: string): boolean => /^(0|[1-9]\d{0,14})(\.\d{1,4})?$/.test(text);

const currencies: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/** Returns true if the text is the ISO 4217 code of a currency. */
export const isCurrencyCode = (text: string): boolean => currencies.has(text);

const isLanguage = (tag: string): boolean => tag.length <= 35 && /^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$/.test(tag);

const yearOf = (day: string): number => Number(day.slice(0, 4));

// Counts characters as PostgreSQL's char_length does.
const lengthOf = (text: string): number => Array.from(text).length;

const checkText = (field: string, text: string, max: number): void => {
  if (text.trim() === '') throw refused(field, 'It may not be empty.');
  if (lengthOf(text) > max) throw refused(field, `It may have at most ${max} characters.`);
};

const checkRange = (field: string, value: number, min: number, max: number): void => {
  if (value < min || value > max) throw refused(field, `It must be from ${min} to ${max}, not ${value}.`);
};

const checkCount = (field: string, list: readonly unknown[] | null | undefined, max: number): void => {
  if (list != null && list.length > max)
    throw refused(field, `There may be at most ${max}, not ${list.length}.`);
};

const checkPerson = (field: string, { name }: PersonInput): void => {
  if (name != null) checkText(`${field}.name`, name, limits.name);
};

const checkPosterUrl = (text: string): void => {
  const url = URL.canParse(text) && !/[\s\p{Cc}]/u.test(text) ? new URL(text) : undefined;
  if (
    text.length > limits.posterUrl ||
    url?.protocol !== 'https:' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw refused(
      'posterUrl',
      `It must be an https URL of at most ${limits.posterUrl} characters, without a user name or password.`,
    );
  }
};

const refused = (field: string, advice: string): Refusal =>
  new Refusal(refusalCode.badUserInput, `The field ${field} is not usable. ${advice}`, { field });
