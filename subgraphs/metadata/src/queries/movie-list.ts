import { weightedScorePrior as prior } from '@cinegraph/events/weighted-score';
import type { Page } from '@cinegraph/subgraph/pagination';
import type pg from 'pg';
import { Prisma, type PrismaClient } from '../generated/prisma/client.js';
import type { MovieFilter, MovieSort } from '../generated/resolvers.js';
import type { MovieModel } from '../models.js';
import { movieColumns, toMovie, type MovieRow } from './movies.js';

/** A movie in a list, with the values that its cursor holds. */
export interface ListedMovie {
  readonly movie: MovieModel;
  readonly sortValues: readonly [value: string, id: string];
}

/** The mean of the scores, and the weighted score that rating's `Query.topRated` documents. */
const averageRating = 'r.sum::float8 / r.count';
const weightedScore = `(${prior.sum} + r.sum)::float8 / (${prior.count} + r.count)`;

const rated = { type: 'float8', ofRatings: true } as const;

const ratedOr = (value: string, unrated: 'infinity' | '-infinity'): string =>
  `CASE WHEN r.count > 0 THEN ${value} ELSE '${unrated}' END`;

/**
 * The SQL of each sort order, on the movies `m` and for orders of ratings also `r`. `by` must be exactly the
 * expression of an index in the migration, or the list is not an index scan. A missing value sorts last in
 * both directions, because the row comparison at a page boundary cannot order nulls.
 */
const orders: Readonly<
  Record<MovieSort, { by: string; type: string; descending: boolean; ofRatings?: true }>
> = {
  TITLE_ASC: { by: `lower(m.title) COLLATE "C"`, type: 'text', descending: false },
  TITLE_DESC: { by: `lower(m.title) COLLATE "C"`, type: 'text', descending: true },
  RELEASE_DATE_ASC: {
    by: `coalesce(m.release_date, make_date(m.release_year, 1, 1), 'infinity'::date)`,
    type: 'date',
    descending: false,
  },
  RELEASE_DATE_DESC: {
    by: `coalesce(m.release_date, make_date(m.release_year, 1, 1), '-infinity'::date)`,
    type: 'date',
    descending: true,
  },
  RUNTIME_ASC: { by: `coalesce(m.runtime_minutes, 2147483647)`, type: 'integer', descending: false },
  RUNTIME_DESC: { by: `coalesce(m.runtime_minutes, 0)`, type: 'integer', descending: true },
  CREATED_AT_ASC: { by: `m.created_at`, type: 'timestamptz', descending: false },
  CREATED_AT_DESC: { by: `m.created_at`, type: 'timestamptz', descending: true },
  AVERAGE_RATING_ASC: { by: ratedOr(averageRating, 'infinity'), ...rated, descending: false },
  AVERAGE_RATING_DESC: { by: ratedOr(averageRating, '-infinity'), ...rated, descending: true },
  RATING_COUNT_ASC: { by: 'r.count', type: 'integer', descending: false, ofRatings: true },
  RATING_COUNT_DESC: { by: 'r.count', type: 'integer', descending: true, ofRatings: true },
  WEIGHTED_SCORE_ASC: { by: ratedOr(weightedScore, 'infinity'), ...rated, descending: false },
  WEIGHTED_SCORE_DESC: { by: ratedOr(weightedScore, '-infinity'), ...rated, descending: true },
};

/**
 * Returns the movies that match a filter after the page's cursor, in the direction of the page. One movie
 * more than the page size shows that there are more. One statement scans an index from the cursor on.
 *
 * This path is hot, because most operations begin with it. A list without a filter is a prepared statement,
 * which costs a third of the CPU of `$queryRaw` for 100 movies. A list with a filter is planned each time,
 * because the best plan depends on how many movies match.
 */
export const findMovieList = async (
  pool: pg.Pool,
  filter: MovieFilter,
  sort: MovieSort,
  page: Page,
): Promise<readonly ListedMovie[]> => {
  const parts = listSql(sort, page);
  const matching = conditions(filter);
  const matches = Prisma.sql`${Prisma.join(matching, ' AND ')} ${parts.beyond}`;
  const { text, values } =
    Object.values(filter).filter((value) => value != null).length > 1
      ? listOfFewOrMany(parts, matches, page.size + 1)
      : Prisma.sql`
        SELECT ${parts.columns} FROM ${parts.from}
        WHERE ${matches} ORDER BY ${parts.orderBy} LIMIT ${page.size + 1}`;
  const name = `movies_${sort}${page.backward ? '_backward' : ''}${page.cursor ? '_beyond' : ''}`;
  const isUnfiltered = matching.length === 1;
  const { rows } = await pool.query<ListedRow>({ text, values, ...(isUnfiltered && { name }) });
  return rows.map(toListedMovie);
};

/** Up to how many matches are all read and sorted. */
const fewMatches = 1_000;

/**
 * Returns the statement of a list with several conditions. PostgreSQL takes them as independent, and would
 * read the index of the order to its end if no movie satisfies all. So a few matches are read first, in any
 * order, and sorted. The index is only read if there are more.
 */
const listOfFewOrMany = (parts: ReturnType<typeof listSql>, matches: Prisma.Sql, limit: number) => {
  const { columns, by, from, orderBy, direction } = parts;
  return Prisma.sql`
    WITH few AS MATERIALIZED (
      SELECT ${columns}, ${by} AS "by" FROM ${from} WHERE ${matches} LIMIT ${fewMatches + 1}
    ), size AS MATERIALIZED (SELECT count(*) FROM few)
    (SELECT * FROM few WHERE (SELECT count FROM size) <= ${fewMatches}
      ORDER BY "by" ${direction}, id COLLATE "C" ${direction} LIMIT ${limit})
    UNION ALL
    (SELECT ${columns}, ${by} FROM ${from} WHERE (SELECT count FROM size) > ${fewMatches} AND ${matches}
      ORDER BY ${orderBy} LIMIT ${limit})`;
};

/** A page of one genre's movies, forward. */
export interface GenreMoviesKey {
  readonly genreId: string;
  readonly sort: MovieSort;
  readonly page: Page;
}

/** Returns the loader key of a page of a genre's movies. */
export const genreMoviesKeyOf = ({ genreId, sort, page: { size, cursor } }: GenreMoviesKey): string =>
  JSON.stringify([genreId, sort, size, cursor]);

/**
 * Returns a page of movies for each key, keyed by `genreMoviesKeyOf`. The keys with the same order, size and
 * cursor, usually all, are read by one statement.
 */
export const findMoviesOfGenres = async (
  prisma: PrismaClient,
  keys: readonly GenreMoviesKey[],
): Promise<ReadonlyMap<string, readonly ListedMovie[]>> => {
  const pages = new Map<string, ListedMovie[]>(keys.map((key) => [genreMoviesKeyOf(key), []]));
  const alike = new Map<string, GenreMoviesKey[]>();
  for (const key of keys) {
    const group = genreMoviesKeyOf({ ...key, genreId: '' });
    alike.set(group, [...(alike.get(group) ?? []), key]);
  }
  for (const group of alike.values()) {
    const [key] = group;
    if (!key) continue;
    const { sort, page } = key;
    const { columns, from, beyond, orderBy } = listSql(sort, page);
    const rows = await prisma.$queryRaw<(ListedRow & { genreId: string })[]>`
      SELECT requested.id AS "genreId", page.*
      FROM unnest(${group.map(({ genreId }) => genreId)}::text[]) AS requested (id)
      CROSS JOIN LATERAL (
        SELECT ${columns}, row_number() OVER (ORDER BY ${orderBy}) AS number FROM ${from}
        WHERE m.deleted_at IS NULL AND ${hasGenre(Prisma.sql`requested.id`)} ${beyond}
        ORDER BY ${orderBy} LIMIT ${page.size + 1}
      ) AS page ORDER BY number`;
    for (const { genreId, ...row } of rows) {
      pages.get(genreMoviesKeyOf({ ...key, genreId }))?.push(toListedMovie(row));
    }
  }
  return pages;
};

type ListedRow = MovieRow & { readonly sortValue: string };

const toListedMovie = (row: ListedRow): ListedMovie => ({
  movie: toMovie(row),
  sortValues: [row.sortValue, row.id],
});

/** Returns the parts of a statement that reads a page of movies in an order. */
const listSql = (sort: MovieSort, page: Page) => {
  const { by, type, descending, ofRatings } = orders[sort];
  // The columns that the index of the order has, so that one scan of it gives the page.
  const id = ofRatings ? 'r.movie_id COLLATE "C"' : 'm.id COLLATE "C"';
  const down = descending !== page.backward;
  const direction = down ? 'DESC' : 'ASC';
  return {
    columns: Prisma.raw(`${movieColumns}, (${by})::text AS "sortValue"`),
    from: Prisma.raw(ofRatings ? 'movie_rating r JOIN movie m ON m.id = r.movie_id' : 'movie m'),
    beyond: page.cursor
      ? Prisma.sql`AND (${Prisma.raw(`${by}, ${id}`)}) ${Prisma.raw(down ? '<' : '>')}
        (${String(page.cursor[0])}::text::${Prisma.raw(type)}, ${String(page.cursor[1])}::text)`
      : Prisma.empty,
    by: Prisma.raw(by),
    orderBy: Prisma.raw(`${by} ${direction}, ${id} ${direction}`),
    direction: Prisma.raw(direction),
  };
};

/** Returns how many movies match a filter. */
export const countMovies = async (prisma: PrismaClient, filter: MovieFilter): Promise<number> => {
  const rows = await prisma.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM movie m WHERE ${Prisma.join(conditions(filter), ' AND ')}`;
  return rows[0]?.count ?? 0;
};

/**
 * Returns a text that is equal for equal filters and orders, however the arguments were written. A cursor is
 * valid only in the list whose scope it was sealed with.
 */
export const movieListScope = (filter: MovieFilter, sort: MovieSort): string => {
  const { title, genre, person, certification } = filter;
  const { releaseYear, runtimeMinutes, averageRating, ratingCount, weightedScore } = filter;
  const ranges = [releaseYear, runtimeMinutes, averageRating, ratingCount, weightedScore];
  const values = [
    title,
    genre,
    person,
    certification,
    ...ranges.flatMap((range) => [range?.from, range?.to]),
  ];
  return `Query.movies:${JSON.stringify([sort, ...values.map((value) => value ?? null)])}`;
};

const conditions = (filter: MovieFilter): Prisma.Sql[] => {
  const { title, genre, person, releaseYear, runtimeMinutes, certification } = filter;
  const all = [Prisma.sql`m.deleted_at IS NULL`];
  if (title != null) all.push(Prisma.sql`m.title ILIKE ${`%${title.replace(/[\\%_]/g, '\\$&')}%`}`);
  if (genre != null) all.push(hasGenre(Prisma.sql`${genre}`));
  if (person != null) {
    all.push(Prisma.sql`EXISTS (SELECT FROM credit c WHERE c.movie_id = m.id AND c.person_id = ${person})`);
  }
  all.push(...within('m.release_year', releaseYear), ...within('m.runtime_minutes', runtimeMinutes));
  if (certification != null) all.push(Prisma.sql`m.certification = ${certification}`);
  const ofRating = [
    ...withinRated(averageRating, filter.averageRating),
    ...withinRated(weightedScore, filter.weightedScore),
    ...within('r.count', filter.ratingCount),
  ];
  if (ofRating.length > 0) {
    all.push(
      Prisma.sql`EXISTS (SELECT FROM movie_rating r WHERE r.movie_id = m.id AND ${Prisma.join(ofRating, ' AND ')})`,
    );
  }
  return all;
};

const hasGenre = (genreId: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`EXISTS (SELECT FROM movie_genre mg WHERE mg.movie_id = m.id AND mg.genre_id = ${genreId})`;

/** Returns the conditions that an SQL expression lies in a range. */
const within = (
  expression: string,
  range: { readonly from?: number | null; readonly to?: number | null } | null | undefined,
): Prisma.Sql[] => [
  ...(range?.from == null ? [] : [Prisma.sql`${Prisma.raw(expression)} >= ${range.from}`]),
  ...(range?.to == null ? [] : [Prisma.sql`${Prisma.raw(expression)} <= ${range.to}`]),
];

/**
 * Returns the same for an expression that movies without ratings lack. The indexes of the orders have both
 * forms.
 */
const withinRated = (expression: string, range: Parameters<typeof within>[1]): Prisma.Sql[] => [
  ...within(ratedOr(expression, '-infinity'), { from: range?.from ?? null }),
  ...within(ratedOr(expression, 'infinity'), { to: range?.to ?? null }),
];
