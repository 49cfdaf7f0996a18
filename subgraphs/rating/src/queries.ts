import type { SortValues } from '@cinegraph/subgraph/pagination';
import type pg from 'pg';
import type { PrismaClient } from './generated/prisma/client.js';
import { toAggregatedRating, type AggregateRow } from './merge.js';
import type { AggregatedRatingModel, RatingModel } from './models.js';

/** A viewer's rating of a movie, asked by both. */
export interface RatingKey {
  readonly movieId: string;
  readonly viewerId: string;
}

/** A page of one movie's ratings: `size + 1` of them, older than `cursor` ([createdAt, viewerId]). */
export interface RatingsOfMovieKey {
  readonly movieId: string;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/**
 * Aggregated ratings by movie id; movies that nobody rated are left out. Hot: asked for every movie of every list, so it
 * is a prepared statement on the shared pool, a sixth of the CPU of `findMany` (docs/decisions/0003).
 */
export const findAggregatedRatings = async (
  pool: pg.Pool,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const { rows } = await pool.query<AggregateRow & { movie_id: string }>({
    name: 'aggregated_rating_by_movie',
    text: `SELECT movie_id, sum, count, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10
           FROM aggregated_rating WHERE movie_id = ANY ($1::text[])`,
    values: [movieIds],
  });
  return new Map(rows.map((row) => [row.movie_id, toAggregatedRating(row)]));
};

/** Ratings by viewer and movie, keyed by `ratingKeyOf`; retracted ones are left out. */
export const findRatings = async (
  prisma: PrismaClient,
  keys: readonly RatingKey[],
): Promise<ReadonlyMap<string, RatingModel>> => {
  const rows = await prisma.$queryRaw<RatingModel[]>`
    SELECT movie_id AS "movieId", viewer_id AS "viewerId", score, review,
      created_at AS "createdAt", updated_at AS "updatedAt"
    FROM rating JOIN jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS wanted ("movieId" text, "viewerId" text)
      ON movie_id = wanted."movieId" AND viewer_id = wanted."viewerId"
    WHERE score IS NOT NULL`;
  return new Map(rows.map((row) => [ratingKeyOf(row), row]));
};

/** The newest ratings of many movies, each with its own page, in one statement; keyed by `ratingsOfMovieKeyOf`. */
export const findRatingsOfMovies = async (
  prisma: PrismaClient,
  keys: readonly RatingsOfMovieKey[],
): Promise<ReadonlyMap<string, readonly RatingModel[]>> => {
  const wanted = keys.map(({ movieId, size, cursor }, place) => ({
    place,
    movie: movieId,
    size: size + 1,
    before: cursor?.[0] ?? null,
    viewer: cursor?.[1] ?? null,
  }));
  const rows = await prisma.$queryRaw<(RatingModel & { place: number })[]>`
    SELECT wanted.place, page.*
    FROM jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb)
      AS wanted (place int, movie text, size int, before timestamptz, viewer text)
    CROSS JOIN LATERAL (
      SELECT movie_id AS "movieId", viewer_id AS "viewerId", score, review,
        created_at AS "createdAt", updated_at AS "updatedAt"
      FROM rating
      WHERE movie_id = wanted.movie AND score IS NOT NULL
        AND created_at <= coalesce(wanted.before, 'infinity')
        AND (wanted.before IS NULL OR created_at < wanted.before OR viewer_id > wanted.viewer)
      ORDER BY created_at DESC, viewer_id
      LIMIT wanted.size
    ) AS page
    ORDER BY wanted.place, page."createdAt" DESC, page."viewerId"`;
  const pages = keys.map((): RatingModel[] => []);
  for (const { place, ...rating } of rows) pages[place]?.push(rating);
  return new Map(keys.map((key, place) => [ratingsOfMovieKeyOf(key), pages[place] ?? []]));
};

/** Ratings of one viewer beyond a cursor ([createdAt, movieId]), newest first, or walking back from it. */
export const findRatingsOfViewer = async (
  prisma: PrismaClient,
  viewerId: string,
  page: { size: number; backward: boolean; cursor: SortValues | null },
): Promise<readonly RatingModel[]> => {
  const { size, backward, cursor } = page;
  const [at, movieId] = cursor === null ? [] : [new Date(String(cursor[0])), String(cursor[1])];
  // The plain bound is what the index is read from; the rest tells rows of one moment apart.
  const beyond =
    at === undefined || movieId === undefined
      ? {}
      : backward
        ? { createdAt: { gte: at }, OR: [{ createdAt: { gt: at } }, { movieId: { lt: movieId } }] }
        : { createdAt: { lte: at }, OR: [{ createdAt: { lt: at } }, { movieId: { gt: movieId } }] };
  const rows = await prisma.rating.findMany({
    where: { viewerId, score: { not: null }, ...beyond },
    orderBy: backward
      ? [{ createdAt: 'asc' }, { movieId: 'desc' }]
      : [{ createdAt: 'desc' }, { movieId: 'asc' }],
    take: size + 1,
  });
  return rows.flatMap(({ score, ...row }) => (score === null ? [] : [{ ...row, score }]));
};

/** How many ratings a viewer has. */
export const countRatingsOfViewer = (prisma: PrismaClient, viewerId: string): Promise<number> =>
  prisma.rating.count({ where: { viewerId, score: { not: null } } });

/** Ids of the movies with the highest weighted score, best first: an index scan of `first` entries. */
export const findTopRated = async (prisma: PrismaClient, first: number): Promise<readonly string[]> => {
  const rows = await prisma.$queryRawUnsafe<{ movie_id: string }[]>(findTopRatedStatement, first);
  return rows.map(({ movie_id }) => movie_id);
};

/** The statement of {@link findTopRated}; a test looks at its plan. Deleted movies are few, and looked up by an index. */
export const findTopRatedStatement = `
  SELECT movie_id FROM aggregated_rating
  WHERE count > 0
    AND NOT EXISTS (SELECT FROM known_movie WHERE id = movie_id AND deleted)
  ORDER BY weighted DESC, movie_id
  LIMIT $1::int`;

/** How many ratings there are of movies that metadata has not told of (yet), and of how many such movies. */
export const countUnknown = async (
  pool: pg.Pool,
): Promise<{ readonly movies: number; readonly ratings: number }> => {
  const { rows } = await pool.query<{ movies: number; ratings: number }>(`
    SELECT count(*)::float8 AS movies, coalesce(sum(count), 0)::float8 AS ratings
    FROM aggregated_rating LEFT JOIN known_movie ON id = movie_id
    WHERE count > 0 AND id IS NULL`);
  return rows[0] ?? { movies: 0, ratings: 0 };
};

/** The loader key of a rating. */
export const ratingKeyOf = ({ movieId, viewerId }: RatingKey): string => JSON.stringify([movieId, viewerId]);

/** The loader key of a page of ratings. */
export const ratingsOfMovieKeyOf = ({ movieId, size, cursor }: RatingsOfMovieKey): string =>
  JSON.stringify([movieId, size, cursor]);
