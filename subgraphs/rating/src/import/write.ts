import type { Importer } from '@cinegraph/subgraph/import/importer';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { readHandover } from './handover.js';
import { lockRatedMovies } from '../joined-movies.js';
import { ratingKeyOf } from '../models.js';
import { createAggregates, jsonSource, mergeChangedRatings, type SourceRow } from '../sql/merge.js';

/** A rating of a source, with a score from 1 to 10. */
export interface ImportedRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number;
  readonly writtenAt: Date;
}

const mergeSource = mergeChangedRatings(jsonSource);

/**
 * Opens the tables of rating for a small import. A chunk is one transaction with the locks and the merge of a
 * mutation, so that a mutation waits for at most one chunk. If a chunk has two ratings of a movie and viewer,
 * the last one counts. A rating that is stored with the same score is not written. A movie that metadata has
 * handed over under another id is rated under that id.
 */
export const openRatingTables: Importer<ImportedRating>['open'] = async (pool, { folder }) => {
  const aliases = (await readHandover(pool, folder))?.aliases;
  const movieIdOf = ({ movieId }: ImportedRating) => aliases?.get(movieId) ?? movieId;
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    isEmpty: async () => (await prisma.rating.findFirst({ select: { movieId: true } })) === null,
    write: async (chunk) => {
      const movieIds = [...new Set(chunk.map(({ item }) => movieIdOf(item)))];
      const viewerIds = () => [...new Set(chunk.map(({ item }) => item.viewerId))];
      const written = await prisma.$transaction(
        async (tx) => {
          await tx.$executeRawUnsafe(createAggregates, movieIds);
          const movies = await lockRatedMovies(tx, movieIds, viewerIds);
          const last = new Map<string, SourceRow>();
          for (const { item } of chunk) {
            const { viewerId, score, writtenAt } = item;
            const named = movieIdOf(item);
            const movieId = movies.keptIdOf(named);
            last.set(ratingKeyOf({ movieId, viewerId }), {
              movie_id: movieId,
              viewer_id: viewerId,
              ...(movieId !== named && { given_for: named }),
              score,
              review: null,
              origin: 'import',
              written_at: writtenAt.toISOString(),
            });
          }
          const [result] = await tx.$queryRawUnsafe<readonly { written: number }[]>(
            mergeSource[movies.form],
            JSON.stringify([...last.values()]),
          );
          return result?.written ?? 0;
        },
        { timeout: 60_000 },
      );
      return { written, unchanged: chunk.length - written };
    },
    close: () => prisma.$disconnect(),
  };
};
