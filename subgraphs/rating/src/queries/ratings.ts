import type { SortValues } from '@cinegraph/subgraph/cursors';
import type { PrismaClient } from '../generated/prisma/client.js';
import { ratingKeyOf, type RatingKey, type RatingModel } from '../models.js';

/** The key of a page of one movie's ratings: `size + 1` ratings after `cursor` ([createdAt, viewerId]). */
export interface RatingsOfMovieKey {
  readonly movieId: string;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/** Returns ratings by `ratingKeyOf`, without retracted ones. */
export const findRatings = async (
  prisma: PrismaClient,
  keys: readonly RatingKey[],
): Promise<ReadonlyMap<string, RatingModel>> => {
  const movies = new Map<string, string[]>();
  for (const { movieId, viewerId } of keys) {
    const ofViewer = movies.get(viewerId);
    if (ofViewer) ofViewer.push(movieId);
    else movies.set(viewerId, [movieId]);
  }
  const rows = await prisma.rating.findMany({
    where: {
      score: { not: null },
      OR: [...movies].map(([viewerId, movieIds]) => ({ viewerId, movieId: { in: movieIds } })),
    },
  });
  return new Map(rows.flatMap(toModel).map((rating) => [ratingKeyOf(rating), rating]));
};

/**
 * Returns a page of the newest ratings for each key, by `ratingsOfMovieKeyOf`, in one statement. Movies
 * that are not known have no ratings. Prisma Client reads a page for each movie only by a query for each,
 * or by reading all ratings of all movies (docs/decisions/0037).
 */
export const findRatingsOfMovies = async (
  prisma: PrismaClient,
  keys: readonly RatingsOfMovieKey[],
): Promise<ReadonlyMap<string, readonly RatingModel[]>> => {
  const requested = keys.map(({ movieId, size, cursor }, ordinal) => ({
    ordinal,
    movie: movieId,
    size: size + 1,
    before: cursor?.[0] ?? null,
    viewer: cursor?.[1] ?? null,
  }));
  const rows = await prisma.$queryRaw<(RatingModel & { ordinal: number })[]>`
    SELECT requested.ordinal, page.*
    FROM jsonb_to_recordset(${JSON.stringify(requested)}::jsonb)
      AS requested (ordinal int, movie text, size int, before timestamptz, viewer text)
    CROSS JOIN LATERAL (
      SELECT movie_id AS "movieId", viewer_id AS "viewerId", score, review, provider,
        created_at AS "createdAt", updated_at AS "updatedAt"
      FROM rating
      WHERE movie_id = requested.movie AND score IS NOT NULL
        AND EXISTS (SELECT FROM aggregated_rating WHERE movie_id = requested.movie AND movie_state = 'known')
        AND created_at <= coalesce(requested.before, 'infinity')
        AND (requested.before IS NULL OR created_at < requested.before OR viewer_id > requested.viewer)
      ORDER BY created_at DESC, viewer_id
      LIMIT requested.size
    ) AS page
    ORDER BY requested.ordinal, page."createdAt" DESC, page."viewerId"`;
  const pages = keys.map((): RatingModel[] => []);
  for (const { ordinal, ...rating } of rows) pages[ordinal]?.push(rating);
  return new Map(keys.map((key, ordinal) => [ratingsOfMovieKeyOf(key), pages[ordinal] ?? []]));
};

/**
 * Returns `size + 1` ratings of a viewer: those after the cursor ([createdAt, movieId]), newest first, or if
 * `backward` is true those before it, oldest first.
 */
export const findRatingsOfViewer = async (
  prisma: PrismaClient,
  viewerId: string,
  page: { size: number; backward: boolean; cursor: SortValues | null },
): Promise<readonly RatingModel[]> => {
  const { size, backward, cursor } = page;
  const [at, movieId] = cursor === null ? [] : [new Date(String(cursor[0])), String(cursor[1])];
  // The simple bound is the one that the index is read by; the other orders rows of the same time.
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
  return rows.flatMap(toModel);
};

/** The key of a page of one viewer's ratings: `size + 1` ratings after `cursor` ([createdAt, movieId]). */
export interface RatingsOfViewerKey {
  readonly viewerId: string;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/**
 * Returns a page of the newest ratings for each key, by `ratingsOfViewerKeyOf`, in one statement, for the
 * reason of `findRatingsOfMovies`.
 */
export const findRatingsOfViewers = async (
  prisma: PrismaClient,
  keys: readonly RatingsOfViewerKey[],
): Promise<ReadonlyMap<string, readonly RatingModel[]>> => {
  const requested = keys.map(({ viewerId, size, cursor }, ordinal) => ({
    ordinal,
    viewer: viewerId,
    size: size + 1,
    before: cursor?.[0] ?? null,
    movie: cursor?.[1] ?? null,
  }));
  const rows = await prisma.$queryRaw<(RatingModel & { ordinal: number })[]>`
    SELECT requested.ordinal, page.*
    FROM jsonb_to_recordset(${JSON.stringify(requested)}::jsonb)
      AS requested (ordinal int, viewer text, size int, before timestamptz, movie text)
    CROSS JOIN LATERAL (
      SELECT movie_id AS "movieId", viewer_id AS "viewerId", score, review, provider,
        created_at AS "createdAt", updated_at AS "updatedAt"
      FROM rating
      WHERE viewer_id = requested.viewer AND score IS NOT NULL
        AND created_at <= coalesce(requested.before, 'infinity')
        AND (requested.before IS NULL OR created_at < requested.before OR movie_id > requested.movie)
      ORDER BY created_at DESC, movie_id
      LIMIT requested.size
    ) AS page
    ORDER BY requested.ordinal, page."createdAt" DESC, page."movieId"`;
  const pages = keys.map((): RatingModel[] => []);
  for (const { ordinal, ...rating } of rows) pages[ordinal]?.push(rating);
  return new Map(keys.map((key, ordinal) => [ratingsOfViewerKeyOf(key), pages[ordinal] ?? []]));
};

/** Returns a row as a model, or nothing if the rating is retracted. */
const toModel = <Row extends { readonly score: number | null }>({ score, ...row }: Row) =>
  score === null ? [] : [{ ...row, score }];

/** How many ratings of a movie a provider published. */
export interface ProviderCount {
  readonly movieId: string;
  readonly provider: string;
  readonly count: number;
}

/**
 * Returns for each movie how many of its ratings each provider published, most first; without the movies
 * that have none. The counts are read by an index of these ratings alone, and are not kept beside them
 * (0037).
 */
export const countByProvider = async (
  prisma: PrismaClient,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ProviderCount[]>> => {
  const rows = await prisma.rating.groupBy({
    by: ['movieId', 'provider'],
    where: { movieId: { in: [...movieIds] }, provider: { not: null }, score: { not: null } },
    _count: true,
    orderBy: [{ _count: { movieId: 'desc' } }, { provider: 'asc' }],
  });
  const counts = new Map<string, ProviderCount[]>(movieIds.map((movieId) => [movieId, []]));
  for (const { movieId, provider, _count } of rows)
    if (provider !== null) counts.get(movieId)?.push({ movieId, provider, count: _count });
  return counts;
};

/** Returns how many ratings each viewer has, without the viewers that have none. */
export const countRatingsOfViewers = async (
  prisma: PrismaClient,
  viewerIds: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const rows = await prisma.rating.groupBy({
    by: ['viewerId'],
    where: { viewerId: { in: [...viewerIds] }, score: { not: null } },
    _count: true,
  });
  return new Map(rows.map(({ viewerId, _count }) => [viewerId, _count]));
};

/** Returns the loader key of a page of a viewer's ratings. */
export const ratingsOfViewerKeyOf = ({ viewerId, size, cursor }: RatingsOfViewerKey): string =>
  JSON.stringify([viewerId, size, cursor]);

/** Returns the loader key of a page of ratings. */
export const ratingsOfMovieKeyOf = ({ movieId, size, cursor }: RatingsOfMovieKey): string =>
  JSON.stringify([movieId, size, cursor]);
