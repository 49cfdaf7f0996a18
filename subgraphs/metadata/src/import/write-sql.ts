import type { Prisma } from '../generated/prisma/client.js';
import type { CreditRole } from '../generated/resolvers.js';
import { appendMovieStates } from '../commands/movie-events.js';
import { movieColumns, toMovie, type MovieRow } from '../queries/movies.js';
import type { MovieFacts, PublishedRating, SourceMovie } from './source-movie.js';

/** Runs a statement whose only parameter is `input` as jsonb, and returns its rows. */
export const ask = <Row>(
  tx: Prisma.TransactionClient,
  statement: string,
  input: unknown,
): PromiseLike<Row[]> => tx.$queryRawUnsafe<Row[]>(statement, JSON.stringify(input));

/** Runs a statement whose only parameter is a set of rows as jsonb. Does nothing for an empty set. */
export const run = async (
  tx: Prisma.TransactionClient,
  statement: string,
  rows: readonly unknown[],
): Promise<void> => {
  if (rows.length > 0) await tx.$executeRawUnsafe(statement, JSON.stringify(rows));
};

/** Updates the planner's statistics of every table that an import writes. */
export const gatherStatistics =
  'ANALYZE movie, external_id, external_rating, person, credit, genre, movie_genre, source_record';

/** Input: { source, ids }. Returns the hash of each movie's record at the last import of the source. */
export const knownHashes = `
  SELECT movie_id, hash FROM source_record
  WHERE source = $1::jsonb ->> 'source'
    AND movie_id IN (SELECT jsonb_array_elements_text($1::jsonb -> 'ids'))`;

/** Input: a set of { source, value }. Returns the movies that have these external ids. */
export const externalIdOwners = `
  SELECT e.source, e.value, e.movie_id FROM external_id e
  JOIN jsonb_to_recordset($1::jsonb) AS r (source text, value text) USING (source, value)`;

/** Input: ids. Returns those of movies that exist, deleted or not. */
export const existingMovies = `
  SELECT id FROM movie WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb))`;

const columns = {
  title: 'text',
  description: 'text',
  release_date: 'date',
  release_year: 'integer',
  runtime_minutes: 'integer',
  certification: 'text',
  languages: 'text[]',
  poster_url: 'text',
  production_budget: 'numeric',
  production_budget_currency: 'text',
  worldwide_gross: 'numeric',
  worldwide_gross_currency: 'text',
  domestic_gross: 'numeric',
  domestic_gross_currency: 'text',
  domestic_dvd_sales: 'numeric',
  domestic_dvd_sales_currency: 'text',
} as const;

const names = Object.keys(columns).join(', ');
const recordset = `jsonb_to_recordset($1::jsonb) AS r (id text, ${Object.entries(columns)
  .map(([name, type]) => `${name} ${type}`)
  .join(', ')})`;

/** Converts a movie's facts to a row of its table, without its lists. */
export const toRow = (
  id: string,
  facts: MovieFacts,
): Readonly<Record<keyof typeof columns | 'id', unknown>> => ({
  id,
  title: facts.title,
  description: facts.description,
  release_date: facts.release.date,
  release_year: facts.release.year,
  runtime_minutes: facts.runtimeMinutes,
  certification: facts.certification,
  languages: facts.languages,
  poster_url: facts.posterUrl,
  production_budget: facts.productionBudget?.amount ?? null,
  production_budget_currency: facts.productionBudget?.currency ?? null,
  worldwide_gross: facts.worldwideGross?.amount ?? null,
  worldwide_gross_currency: facts.worldwideGross?.currency ?? null,
  domestic_gross: facts.domesticGross?.amount ?? null,
  domestic_gross_currency: facts.domesticGross?.currency ?? null,
  domestic_dvd_sales: facts.domesticDvdSales?.amount ?? null,
  domestic_dvd_sales_currency: facts.domesticDvdSales?.currency ?? null,
});

/** Input: rows. Adds the movies whose ids do not exist, and returns their ids. A deleted movie exists. */
export const insertMovies = `
  INSERT INTO movie (id, ${names}, created_at, updated_at)
  SELECT id, ${names}, now(), now() FROM ${recordset} ORDER BY id
  ON CONFLICT (id) DO NOTHING
  RETURNING id`;

/** Input: rows of locked movies. Updates the movies and increments their versions. */
export const updateMovies = `
  UPDATE movie SET (${names}) = (SELECT ${names
    .split(', ')
    .map((name) => `r.${name}`)
    .join(', ')}), version = version + 1, updated_at = now()
  FROM ${recordset} WHERE movie.id = r.id`;

/** Input: a set of { id, added }. Appends an event of each of these written movies to the outbox. */
export const appendEvents = appendMovieStates(
  'SELECT id, added FROM jsonb_to_recordset($1::jsonb) AS r (id text, added boolean)',
);

/** Input: a set of { id, name }. Adds the genres that do not exist. */
export const putGenres = `
  INSERT INTO genre (id, name)
  SELECT id, name FROM jsonb_to_recordset($1::jsonb) AS r (id text, name text) ORDER BY id
  ON CONFLICT (id) DO NOTHING`;

/** Input: a set of { id, name }, each id once. Renames the people among them who exist. */
export const correctPeople = `
  UPDATE person SET name = r.name FROM jsonb_to_recordset($1::jsonb) AS r (id text, name text)
  WHERE person.id = r.id AND person.name <> r.name`;

/** Input: a set of { id, name }, each id once. Adds people, and renames those who exist. */
export const putPeople = `
  INSERT INTO person (id, name)
  SELECT id, name FROM jsonb_to_recordset($1::jsonb) AS r (id text, name text) ORDER BY id
  ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE person.name <> excluded.name`;

/** Input: a set of { movie_id, ids }. Replaces the genres of the movies. */
export const replaceGenres = `
  WITH r AS (SELECT movie_id, ids FROM jsonb_to_recordset($1::jsonb) AS r (movie_id text, ids text[])),
    gone AS (DELETE FROM movie_genre g USING r WHERE g.movie_id = r.movie_id AND g.genre_id <> ALL (r.ids))
  INSERT INTO movie_genre (movie_id, genre_id)
  SELECT r.movie_id, id FROM r, unnest(r.ids) AS id
  ON CONFLICT DO NOTHING`;

/** Input: a set of { movie_id, role, people: [{ person_id, character }] }. Replaces the credits. */
export const replaceCredits = `
  WITH r AS (SELECT movie_id, role, people FROM jsonb_to_recordset($1::jsonb) AS r (movie_id text, role text, people jsonb)),
    gone AS (
      DELETE FROM credit c USING r
      WHERE c.movie_id = r.movie_id AND c.role = r.role AND c.position > jsonb_array_length(r.people))
  INSERT INTO credit (movie_id, role, position, person_id, character)
  SELECT r.movie_id, r.role, p.position, p.person ->> 'person_id', p.person ->> 'character'
  FROM r, jsonb_array_elements(r.people) WITH ORDINALITY AS p (person, position)
  ON CONFLICT (movie_id, role, position)
    DO UPDATE SET person_id = excluded.person_id, character = excluded.character`;

/** Input: a set of { movie_id, ids: [{ source, value }] }. Replaces the external ids, which must be free. */
export const replaceExternalIds = `
  WITH r AS (
      SELECT r.movie_id, e.source, e.value
      FROM jsonb_to_recordset($1::jsonb) AS r (movie_id text, ids jsonb)
      LEFT JOIN LATERAL jsonb_to_recordset(r.ids) AS e (source text, value text) ON true),
    gone AS (
      DELETE FROM external_id e USING (SELECT DISTINCT movie_id FROM r) AS m
      WHERE e.movie_id = m.movie_id
        AND NOT EXISTS (SELECT FROM r WHERE r.source = e.source AND r.value = e.value AND r.movie_id = e.movie_id))
  INSERT INTO external_id (source, value, movie_id)
  SELECT source, value, movie_id FROM r
  WHERE source IS NOT NULL
    AND NOT EXISTS (
      SELECT FROM external_id e WHERE e.source = r.source AND e.value = r.value AND e.movie_id = r.movie_id)
  ORDER BY source, value`;

/**
 * Input: a set of { movie_id, ratings, gone }. Writes `ratings`, and deletes the ratings of the sources in
 * `gone` that are not among them.
 */
export const replaceRatings = `
  WITH r AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r (movie_id text, ratings jsonb, gone text[])),
    gone AS (
      DELETE FROM external_rating e USING r
      WHERE e.movie_id = r.movie_id AND e.source = ANY (r.gone)
        AND NOT r.ratings @> jsonb_build_array(jsonb_build_object('source', e.source)))
  INSERT INTO external_rating (movie_id, source, average, votes, scale_top)
  SELECT r.movie_id, p.source, p.average, p.votes, p."scaleTop"
  FROM r, jsonb_to_recordset(r.ratings) AS p (source text, average double precision, votes integer, "scaleTop" integer)
  ON CONFLICT (movie_id, source)
    DO UPDATE SET average = excluded.average, votes = excluded.votes, scale_top = excluded.scale_top`;

/** Input: a set of { movie_id, source, hash, record }. Stores the records for the next import. */
export const putRecords = `
  INSERT INTO source_record (movie_id, source, hash, record)
  SELECT movie_id, source, hash, record
  FROM jsonb_to_recordset($1::jsonb) AS r (movie_id text, source text, hash text, record jsonb)
  ON CONFLICT (movie_id, source) DO UPDATE SET hash = excluded.hash, record = excluded.record`;

/** A movie in the tables, with the source's facts and ratings of it at the last import. */
export interface CurrentMovie {
  readonly facts: MovieFacts;
  readonly last: Partial<MovieFacts> | undefined;
  readonly lastRatings: readonly string[];
}

/** Locks movies until the transaction ends and returns them by id. Deleted movies are left out. */
export const findCurrent = async (
  tx: Prisma.TransactionClient,
  source: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, CurrentMovie>> => {
  if (ids.length === 0) return new Map();
  const rows = await ask<CurrentRow>(tx, currentMovies, { source, ids });
  return new Map(
    rows.map((row) => {
      const movie = toMovie(row);
      const people = (role: CreditRole) => (row.credits ?? []).filter((credit) => credit.role === role);
      const facts: MovieFacts = {
        title: movie.title,
        description: movie.description,
        release: { date: movie.releaseDate, year: movie.releaseYear },
        runtimeMinutes: movie.runtimeMinutes,
        certification: movie.certification,
        languages: movie.languages,
        posterUrl: movie.posterUrl,
        productionBudget: movie.productionBudget,
        worldwideGross: movie.worldwideGross,
        domesticGross: movie.domesticGross,
        domesticDvdSales: movie.domesticDvdSales,
        genres: row.genres ?? [],
        directors: people('DIRECTOR').map(({ person }) => person),
        cast: people('ACTOR').map(({ person, character }) => ({ person, character })),
        externalIds: row.externalIds ?? [],
      };
      const lastRatings = (row.record?.externalRatings ?? []).map(
        ({ source: publisher }: PublishedRating) => publisher,
      );
      return [movie.id, { facts, last: row.record?.facts, lastRatings }];
    }),
  );
};

type CurrentRow = MovieRow & {
  readonly genres: MovieFacts['genres'] | null;
  readonly credits:
    readonly { role: CreditRole; person: MovieFacts['directors'][number]; character: string | null }[] | null;
  readonly externalIds: MovieFacts['externalIds'] | null;
  readonly record: SourceMovie | null;
};

const currentMovies = `
  SELECT ${movieColumns},
    (SELECT jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name))
     FROM movie_genre mg JOIN genre g ON g.id = mg.genre_id WHERE mg.movie_id = m.id) AS genres,
    (SELECT jsonb_agg(jsonb_build_object('role', c.role, 'character', c.character,
       'person', jsonb_build_object('id', p.id, 'name', p.name)) ORDER BY c.position)
     FROM credit c JOIN person p ON p.id = c.person_id WHERE c.movie_id = m.id) AS credits,
    (SELECT jsonb_agg(jsonb_build_object('source', e.source, 'value', e.value))
     FROM external_id e WHERE e.movie_id = m.id) AS "externalIds",
    (SELECT s.record FROM source_record s WHERE s.movie_id = m.id AND s.source = $1::jsonb ->> 'source') AS record
  FROM movie m
  WHERE m.id IN (SELECT jsonb_array_elements_text($1::jsonb -> 'ids')) AND m.deleted_at IS NULL
  ORDER BY m.id
  FOR UPDATE OF m`;
