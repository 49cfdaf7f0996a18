import type pg from 'pg';

/**
 * What rating's importers need to know of the movies: for each its id, version and whether it is deleted, and then its other
 * names, `<source>:<value>` of each external id and those of `names`: what a source calls the movie that IMDb calls so.
 */
export const handOverMovies = async function* (
  pool: pg.Pool,
  names: Iterable<readonly [name: string, imdbId: string]> = [],
): AsyncGenerator<object> {
  yield* pages(
    pool,
    `SELECT id, id AS movie, version, deleted_at IS NOT NULL AS deleted FROM movie
     WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2`,
    ({ movie, version, deleted }) => ({ movie, version, deleted }),
  );
  yield* pages(
    pool,
    `SELECT source || ':' || value AS id, movie_id AS movie, 0 AS version, false AS deleted FROM external_id
     WHERE source || ':' || value COLLATE "C" > $1 AND source || ':' || value <> movie_id
     ORDER BY source || ':' || value COLLATE "C" LIMIT $2`,
    ({ id, movie }) => ({ alias: id, movie }),
  );
  const all = [...names];
  for (let at = 0; at < all.length; at += pageSize) {
    const page = all.slice(at, at + pageSize);
    const { rows } = await pool.query<{ value: string; movie: string }>(
      `SELECT value, movie_id AS movie FROM external_id WHERE source = 'imdb' AND value = ANY ($1::text[])`,
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

interface Page {
  readonly id: string;
  readonly movie: string;
  readonly version: number;
  readonly deleted: boolean;
}

const pages = async function* (
  pool: pg.Pool,
  statement: string,
  toEntry: (row: Page) => object,
): AsyncGenerator<object> {
  let after = '';
  for (;;) {
    const { rows } = await pool.query<Page>(statement, [after, pageSize]);
    for (const row of rows) yield toEntry(row);
    const last = rows.at(-1);
    if (!last) return;
    after = last.id;
  }
};
