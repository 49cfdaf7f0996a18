import type pg from 'pg';
import type { PrismaClient } from '../generated/prisma/client.js';
import type { AggregatedRatingModel } from '../models.js';

/**
 * Returns aggregated ratings by movie id, without the movies that nobody has rated. This is a hot path: it
 * runs for the movies of every list. A prepared statement on the pool needs a sixth of the CPU of `findMany`
 * (docs/decisions/0003).
 */
export const findAggregatedRatings = async (
  pool: pg.Pool,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const { rows } = await pool.query<AggregateRow>({
    name: 'aggregated_rating_by_movie',
    text: `SELECT movie_id, sum, count, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10
           FROM aggregated_rating WHERE movie_id = ANY ($1::text[])`,
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

/** Returns the ids of the `first` movies with the highest weighted score, best first, by an index scan. */
export const findTopRated = async (prisma: PrismaClient, first: number): Promise<readonly string[]> => {
  const rows = await prisma.$queryRawUnsafe<{ movie_id: string }[]>(findTopRatedStatement, first);
  return rows.map(({ movie_id }) => movie_id);
};

/**
 * The statement of `findTopRated`, exported for the test of its plan. Deleted movies are few and are looked
 * up in an index.
 */
export const findTopRatedStatement = `
  SELECT movie_id FROM aggregated_rating
  WHERE count > 0
    AND NOT EXISTS (SELECT FROM known_movie WHERE id = movie_id AND deleted)
  ORDER BY weighted DESC, movie_id
  LIMIT $1::int`;

/**
 * Returns how many ratings belong to movies that metadata has not published, and the number of those movies.
 */
export const countUnknown = async (
  pool: pg.Pool,
): Promise<{ readonly movies: number; readonly ratings: number }> => {
  const { rows } = await pool.query<{ movies: number; ratings: number }>(`
    SELECT count(*)::float8 AS movies, coalesce(sum(count), 0)::float8 AS ratings
    FROM aggregated_rating LEFT JOIN known_movie ON id = movie_id
    WHERE count > 0 AND id IS NULL`);
  return rows[0] ?? { movies: 0, ratings: 0 };
};
