import type { MovieHandoverEntry } from '@cinegraph/events/movie-handover';
import type pg from 'pg';

/**
 * Returns the lines of the hand-over file for rating's importers: the state of every movie, deleted ones
 * included, and then the aliases of movies. An alias is `<source>:<value>` of an external id, or a name from
 * `names`, which maps a source's own id of a movie to its IMDb id.
 */
export const handOverMovies = async function* (
  pool: pg.Pool,
  names: Iterable<readonly [name: string, imdbId: string]> = [],
): AsyncGenerator<MovieHandoverEntry> {
  const movies = rowsOf(pool, moviePage, [''], ({ id }: MovieState) => [id]);
  for await (const { id, version, deleted, joinedInto } of movies) {
    yield { movie: id, version, deleted, ...(joinedInto !== null && { joinedInto }) };
  }
  const externalIds = rowsOf(pool, externalIdPage, ['', ''], ({ source, value }: ExternalName) => [
    source,
    value,
  ]);
  for await (const { source, value, movie } of externalIds) {
    const alias = `${source}:${value}`;
    if (alias !== movie) yield { alias, movie };
  }
  const all = [...names];
  for (let at = 0; at < all.length; at += pageSize) {
    const page = all.slice(at, at + pageSize);
    const { rows } = await pool.query<{ value: string; movie: string }>(
      `SELECT value, coalesce(joined_from, movie_id) AS movie FROM external_id WHERE source = 'imdb' AND value = ANY ($1::text[])`,
      [page.map(([, imdbId]) => imdbId)],
    );
    const owners = new Map(rows.map(({ value, movie }) => [value, movie]));
    for (const [alias, imdbId] of page) {
      const movie = owners.get(imdbId);
      if (movie !== undefined && movie !== alias) yield { alias, movie };
    }
  }
};

const pageSize = 5_000;

interface MovieState {
  readonly id: string;
  readonly version: number;
  readonly deleted: boolean;
  readonly joinedInto: string | null;
}

/** The first $1 movies after the id $2, in the order of the primary key, so that a page is an index scan. */
export const moviePage = `
  SELECT id, version, deleted_at IS NOT NULL AND joined_into IS NULL AS deleted, joined_into AS "joinedInto"
  FROM movie WHERE id > $2 ORDER BY id LIMIT $1`;

interface ExternalName {
  readonly source: string;
  readonly value: string;
  readonly movie: string;
}

/**
 * The first $1 external ids after the one with source $2 and value $3, in the order of the primary key. An id
 * that came from a joined movie is an alias of that one: rating itself knows where its votes go.
 */
export const externalIdPage = `
  SELECT source, value, coalesce(joined_from, movie_id) AS movie FROM external_id
  WHERE (source, value) > ($2, $3) ORDER BY source, value LIMIT $1`;

/** Yields the rows of a paged statement. `first` is a key that sorts before every other key. */
const rowsOf = async function* <Row extends object>(
  pool: pg.Pool,
  statement: string,
  first: readonly string[],
  keyOf: (row: Row) => readonly string[],
): AsyncGenerator<Row> {
  let after = first;
  for (;;) {
    const { rows } = await pool.query<Row>(statement, [pageSize, ...after]);
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    after = keyOf(last);
  }
};
