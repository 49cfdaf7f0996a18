import { createLoader } from '@cinegraph/subgraph/loader';
import type pg from 'pg';
import type { PrismaClient } from './generated/prisma/client.js';
import { noVotes } from './models.js';
import {
  findAggregatedRatings,
  findRatings,
  findRatingsOfMovies,
  ratingKeyOf,
  ratingsOfMovieKeyOf,
} from './queries.js';

/** The loaders of rating: each batches over all requests of a tick into one SQL statement. */
export type Loaders = ReturnType<typeof createLoaders>;

export const createLoaders = ({ pool, prisma }: { pool: pg.Pool; prisma: PrismaClient }) => ({
  /** The exact aggregate; a movie without votes has the one of nobody, never null. */
  aggregatedRatingByMovieId: createLoader({
    find: (movieIds: readonly string[]) => findAggregatedRatings(pool, movieIds),
    keyOf: (movieId) => movieId,
    missing: () => noVotes,
  }),
  /** One viewer's rating of one movie, or null. */
  ratingByKey: createLoader({
    find: (keys: Parameters<typeof findRatings>[1]) => findRatings(prisma, keys),
    keyOf: ratingKeyOf,
    missing: () => null,
  }),
  /** A page of a movie's ratings, newest first, with one more row where there is one. */
  ratingsByMovie: createLoader({
    find: (keys: Parameters<typeof findRatingsOfMovies>[1]) => findRatingsOfMovies(prisma, keys),
    keyOf: ratingsOfMovieKeyOf,
    missing: () => [],
  }),
});
