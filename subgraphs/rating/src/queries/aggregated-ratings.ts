import type { SortValues } from '@cinegraph/subgraph/cursors';
import type pg from 'pg';
import type { PrismaClient } from '../generated/prisma/client.js';
import type { AggregatedRatingModel } from '../models.js';

/**
 * Returns aggregated ratings by movie id, without the movies that nobody has rated, unknown and deleted
 * ones. This is a hot path: it runs for the movies of every list. A prepared statement on the pool needs a
 * sixth of the CPU of `findMany` (docs/decisions/0003).
 */
export const findAggregatedRatings = async (
  pool: pg.Pool,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const { rows } = await pool.query<AggregateRow>({
    name: 'aggregated_rating_by_movie',
    text: `SELECT movie_id, sum, count, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10
           FROM aggregated_rating WHERE movie_id = ANY ($1::text[]) AND movie_state = 'known'`,
    values: [movieIds],
  });
  return new Map(rows.map((row) => [row.movie_id, toAggregatedRating(row)]));
};

const scoreColumns = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10'] as const;

/** A row of the statement above; `pg` returns a bigint as text. */
type AggregateRow = Readonly<Record<'movie_id' | 'sum' | 'count' | (typeof scoreColumns)[number], string>>;

/** Returns the row as a model. The numbers are exact up to 2^53 votes. */
const toAggregatedRating = (row: AggregateRow): AggregatedRatingModel => ({
  sum: Number(row.sum),
  count: Number(row.count),
  histogram: scoreColumns.map((column) => Number(row[column])),
});

/** A movie in the list of those rated best: its id and its weighted score. */
export interface TopRatedRow {
  readonly id: string;
  readonly weighted: number;
}

/**
 * Returns `size + 1` movies with the highest weighted score after the cursor ([weighted, id]), best first, by
 * a scan of an index that has no unknown or deleted movie.
 */
export const findTopRated = (
  prisma: PrismaClient,
  { size, cursor }: { readonly size: number; readonly cursor: SortValues | null },
): Promise<readonly TopRatedRow[]> =>
  prisma.$queryRawUnsafe<TopRatedRow[]>(
    `SELECT movie_id AS id, weighted FROM aggregated_rating
     WHERE count > 0 AND movie_state = 'known'
       ${cursor === null ? '' : 'AND weighted <= $2::float8 AND (weighted < $2::float8 OR movie_id > $3)'}
     ORDER BY weighted DESC, movie_id
     LIMIT $1::int`,
    size + 1,
    ...(cursor ?? []),
  );

/** Returns how many movies `findTopRated` lists on all pages. */
export const countTopRated = (prisma: PrismaClient): Promise<number> =>
  prisma.aggregatedRating.count({ where: { count: { gt: 0 }, movieState: 'known' } });

/** Returns which of the movies are known and not deleted. */
export const findKnownMovies = async (
  prisma: PrismaClient,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, true>> => {
  const rows = await prisma.aggregatedRating.findMany({
    where: { movieId: { in: [...movieIds] }, movieState: 'known' },
    select: { movieId: true },
  });
  return new Map(rows.map(({ movieId }) => [movieId, true]));
};

/** Returns which of the movies metadata has published, deleted or not. */
export const findHeardOf = async (
  prisma: PrismaClient,
  movieIds: readonly string[],
): Promise<readonly string[]> => {
  const rows = await prisma.knownMovie.findMany({
    where: { id: { in: [...movieIds] } },
    select: { id: true },
  });
  return rows.map(({ id }) => id);
};

/**
 * Returns how many ratings are kept for movies that metadata has not published, and the number of those
 * movies.
 */
export const countUnknown = async (
  prisma: PrismaClient,
): Promise<{ readonly movies: number; readonly ratings: number }> => {
  const { _count, _sum } = await prisma.aggregatedRating.aggregate({
    where: { movieState: 'unknown', count: { gt: 0 } },
    _count: true,
    _sum: { count: true },
  });
  return { movies: _count, ratings: Number(_sum.count ?? 0) };
};

/** Returns the `first` unknown movies with most ratings. */
export const findUnknown = (
  prisma: PrismaClient,
  first: number,
): Promise<readonly { readonly movieId: string; readonly count: bigint }[]> =>
  prisma.aggregatedRating.findMany({
    where: { movieState: 'unknown', count: { gt: 0 } },
    orderBy: [{ count: 'desc' }, { movieId: 'asc' }],
    take: first,
    select: { movieId: true, count: true },
  });
