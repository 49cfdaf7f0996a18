import { createLoader } from '@cinegraph/subgraph/loader';
import type pg from 'pg';
import type { PrismaClient } from './generated/prisma/client.js';
import { noVotes, ratingKeyOf } from './models.js';
import { findAggregatedRatings, findKnownMovies } from './queries/aggregated-ratings.js';
import {
  countByProvider,
  countRatingsOfViewers,
  findRatings,
  findRatingsOfMovies,
  findRatingsOfViewers,
  ratingsOfMovieKeyOf,
  ratingsOfViewerKeyOf,
} from './queries/ratings.js';

/** The loaders of rating. */
export type Loaders = ReturnType<typeof createLoaders>;

/** Creates the loaders. Each of them reads the keys of all requests of a tick by one SQL statement. */
export const createLoaders = ({ pool, prisma }: { pool: pg.Pool; prisma: PrismaClient }) => ({
  /**
   * The exact aggregate of a movie; that of a movie without votes or that is not known is `noVotes`, never
   * null.
   */
  aggregatedRatingByMovieId: createLoader({
    find: (movieIds: readonly string[]) => findAggregatedRatings(pool, movieIds),
    keyOf: (movieId) => movieId,
    missing: () => noVotes,
  }),
  /** Whether a movie is known and not deleted. */
  isKnownMovie: createLoader({
    find: (movieIds: readonly string[]) => findKnownMovies(prisma, movieIds),
    keyOf: (movieId) => movieId,
    missing: () => false,
  }),
  /** How many ratings of a movie each provider published. */
  providersByMovieId: createLoader({
    find: (movieIds: readonly string[]) => countByProvider(prisma, movieIds),
    keyOf: (movieId) => movieId,
    missing: () => [],
  }),
  /** One viewer's rating of one movie, or null. */
  ratingByKey: createLoader({
    find: (keys: Parameters<typeof findRatings>[1]) => findRatings(prisma, keys),
    keyOf: ratingKeyOf,
    missing: () => null,
  }),
  /** A page of a movie's ratings, newest first, and one more row if there is one. */
  ratingsByMovie: createLoader({
    find: (keys: Parameters<typeof findRatingsOfMovies>[1]) => findRatingsOfMovies(prisma, keys),
    keyOf: ratingsOfMovieKeyOf,
    missing: () => [],
  }),
  /** A page of a viewer's ratings, newest first, and one more row if there is one. */
  ratingsByViewer: createLoader({
    find: (keys: Parameters<typeof findRatingsOfViewers>[1]) => findRatingsOfViewers(prisma, keys),
    keyOf: ratingsOfViewerKeyOf,
    missing: () => [],
  }),
  /** How many ratings a viewer has. */
  ratingCountByViewerId: createLoader({
    find: (viewerIds: readonly string[]) => countRatingsOfViewers(prisma, viewerIds),
    keyOf: (viewerId) => viewerId,
    missing: () => 0,
  }),
});
