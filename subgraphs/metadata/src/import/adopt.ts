import type { OpenedSource, SourceRecord } from '@cinegraph/subgraph/import/importer';
import type pg from 'pg';
import type { Prisma } from '../generated/prisma/client.js';
import { sourceIdOf } from '../rules.js';
import { matchFilm, titleKeysOf, type Film } from './matching.js';
import type { SourceMovie } from './source-movie.js';
import * as sql from './write-sql.js';

/** A movie of a chunk. `record` says where it is in its source. */
export interface Entry {
  readonly record: string;
  readonly item: SourceMovie;
}

/** A film that may be one of several films of other sources, so that it was left apart. */
export interface AmbiguousFilm {
  readonly record: string;
  readonly id: string;
  readonly title: string;
  readonly year: number | null;
  readonly candidates: readonly string[];
}

/** A chunk in which each movie that is known under another id has that id. */
export interface AdoptedChunk {
  readonly entries: readonly Entry[];
  /** The number of movies that got the id of a film of another source. */
  readonly matched: number;
  readonly ambiguous: readonly AmbiguousFilm[];
  /** Movies that were added before, next to a film of another source that is the same. */
  readonly doubles: readonly (readonly [id: string, other: string])[];
}

/** Matches the films of a source with those of other sources. */
export interface Matcher {
  /** Looks at all records of the source, which is needed before one of them is matched. */
  survey(records: OpenedSource<SourceMovie>['records']): Promise<void>;
  /** Reads all records into memory, surveys them, and yields them. */
  surveyAll(records: OpenedSource<SourceMovie>['records']): AsyncIterable<SourceRecord<SourceMovie>>;
  /** Returns the match of a film. */
  match(film: Film): ReturnType<typeof matchFilm>;
}

/**
 * Creates a matcher. It holds in memory the films of the tables, and the films of the source that have the
 * title of one of these.
 */
export const createMatcher = (pool: pg.Pool): Matcher => {
  let stored: FilmIndex = new Map();
  let surveyed: FilmIndex = new Map();
  const survey: Matcher['survey'] = async (records) => {
    stored = await readFilms(pool);
    surveyed = new Map();
    for await (const entry of records) {
      if (!('item' in entry)) continue;
      const film = filmOf(entry.item);
      if (titleKeysOf(film.title).some((key) => stored.has(key))) addTo(surveyed, film);
    }
    await forgetKnown(pool, surveyed);
  };
  return {
    survey,
    surveyAll: async function* (records) {
      const all: SourceRecord<SourceMovie>[] = [];
      for await (const entry of records) all.push(entry);
      if (all.length > 0) await survey(all);
      yield* all;
    },
    match: (film) => {
      const candidates = filmsLike(stored, film).filter(({ id }) => id !== film.id);
      return matchFilm(
        film,
        candidates,
        candidates.flatMap((candidate) => filmsLike(surveyed, candidate)),
      );
    },
  };
};

/** Films by the keys of their titles. */
export type FilmIndex = Map<string, Film[]>;

const addTo = (index: FilmIndex, film: Film): void => {
  for (const key of titleKeysOf(film.title)) {
    const films = index.get(key);
    if (films) films.push(film);
    else index.set(key, [film]);
  }
};

const filmsLike = (index: FilmIndex, film: Film): readonly Film[] => [
  ...new Set(titleKeysOf(film.title).flatMap((key) => index.get(key) ?? [])),
];

const filmOf = ({ id, facts }: SourceMovie): Film => ({
  id,
  title: facts.title,
  year: facts.release.year,
  directors: facts.directors.map(({ name }) => name),
  externalIds: facts.externalIds,
});

const pageSize = 5_000;

const filmPage = `
  SELECT m.id, m.title, m.release_year AS year,
    ARRAY(SELECT p.name FROM credit c JOIN person p ON p.id = c.person_id
      WHERE c.movie_id = m.id AND c.role = 'DIRECTOR') AS directors,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('source', e.source, 'value', e.value)), '[]')
     FROM external_id e WHERE e.movie_id = m.id) AS "externalIds"
  FROM movie m WHERE m.id > $2 AND m.deleted_at IS NULL ORDER BY m.id LIMIT $1`;

/** Reads the films of the tables, without deleted and joined ones. */
export const readFilms = async (pool: pg.Pool): Promise<FilmIndex> => {
  const index: FilmIndex = new Map();
  for (let after = ''; ;) {
    const { rows } = await pool.query<Film>(filmPage, [pageSize, after]);
    for (const film of rows) addTo(index, film);
    const last = rows.at(-1);
    if (!last) return index;
    after = last.id;
  }
};

/** Removes the films that are known by an external id: they have their match, and are nobody's rival. */
const forgetKnown = async (pool: pg.Pool, index: FilmIndex): Promise<void> => {
  const films = [...new Set([...index.values()].flat())];
  for (let at = 0; at < films.length; at += pageSize) {
    const page = films.slice(at, at + pageSize);
    const names = page.flatMap((film) => [...film.externalIds, ...sourceIdOf(film.id)]);
    const { rows } = await pool.query<ExternalIdOwner>(sql.externalIdOwners, [JSON.stringify(names)]);
    const owners = ownersOf(rows);
    for (const film of page) {
      const owner = knownOwner(film, owners);
      if (owner === undefined || owner === film.id) continue;
      for (const key of titleKeysOf(film.title)) {
        index.set(
          key,
          (index.get(key) ?? []).filter(({ id }) => id !== film.id),
        );
      }
    }
  }
};

interface ExternalIdOwner {
  readonly source: string;
  readonly value: string;
  readonly movie_id: string;
}

const nameOf = ({ source, value }: { readonly source: string; readonly value: string }) =>
  `${source}:${value}`;

const ownersOf = (rows: readonly ExternalIdOwner[]): ReadonlyMap<string, string> =>
  new Map(rows.map((row) => [nameOf(row), row.movie_id]));

/** Returns the movie that has the film's IMDb id, or else another external id of it, or else its own id. */
const knownOwner = (
  { id, externalIds }: Pick<Film, 'id' | 'externalIds'>,
  owners: ReadonlyMap<string, string>,
): string | undefined => {
  const ofImdb = externalIds.filter(({ source }) => source === 'imdb');
  return [...ofImdb, ...externalIds, ...sourceIdOf(id)].flatMap((name) => owners.get(nameOf(name)) ?? [])[0];
};

/**
 * Gives each movie the id of the movie that has its IMDb id, another external id of it, or its id in the
 * source as an external id. A movie that is not known so far gets the id of the film that it matches by
 * title, year and director; its id in the source becomes an external id of that film.
 */
export const adoptIds = async (
  tx: Prisma.TransactionClient,
  chunk: readonly Entry[],
  matcher: Matcher,
): Promise<AdoptedChunk> => {
  const names = chunk.flatMap(({ item }) => [...item.facts.externalIds, ...sourceIdOf(item.id)]);
  const owners = ownersOf(await sql.ask<ExternalIdOwner>(tx, sql.externalIdOwners, names));
  const rows = await sql.ask<{ id: string }>(
    tx,
    sql.existingMovies,
    chunk.map(({ item }) => item.id),
  );
  const existing = new Set(rows.map(({ id }) => id));
  const ambiguous: AmbiguousFilm[] = [];
  const doubles: (readonly [string, string])[] = [];
  let matched = 0;
  const entries = chunk.map((entry): Entry => {
    const { record, item } = entry;
    const film = filmOf(item);
    const owner = knownOwner(film, owners) ?? (existing.has(item.id) ? item.id : undefined);
    // A film that was added before keeps its id, but the report says what it may be.
    const match = owner === undefined || owner === item.id ? matcher.match(film) : undefined;
    let id = owner;
    if (match && 'ambiguous' in match) {
      const { title, year } = film;
      ambiguous.push({ record, id: item.id, title, year, candidates: match.ambiguous });
    } else if (match && owner !== undefined) {
      doubles.push([item.id, match.id]);
    } else {
      id ??= match?.id;
    }
    if (id === undefined || id === item.id) return entry;
    matched += 1;
    return { record, item: withId(item, id) };
  });
  return { entries, matched, ambiguous, doubles };
};

/** Returns the movie under another id, with its own one among its external ids. */
const withId = (item: SourceMovie, id: string): SourceMovie => {
  const names = new Set(item.facts.externalIds.map(nameOf));
  const added = sourceIdOf(item.id).filter((name) => !names.has(nameOf(name)));
  return { ...item, id, facts: { ...item.facts, externalIds: [...item.facts.externalIds, ...added] } };
};
