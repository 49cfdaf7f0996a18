import type { Importer } from '@cinegraph/subgraph/import/importer';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { readHandover } from './handover.js';
import { createAggregates, jsonSource, lockAggregates, mergeChangedRatings } from '../sql/merge.js';

/** A rating of a source, with a score from 1 to 10. */
export interface ImportedRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number;
  readonly writtenAt: Date;
}

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
      const last = new Map(chunk.map(({ item }) => [`${movieIdOf(item)}\n${item.viewerId}`, item]));
      const source = [...last.values()].map((item) => ({
        movie_id: movieIdOf(item),
        viewer_id: item.viewerId,
        score: item.score,
        review: null,
        origin: 'import',
        written_at: item.writtenAt.toISOString(),
      }));
      const written = await prisma.$transaction(
        async (tx) => {
          await tx.$executeRawUnsafe(createAggregates, movieIds);
          await tx.$queryRawUnsafe(lockAggregates, movieIds);
          const [result] = await tx.$queryRawUnsafe<readonly { written: number }[]>(
            mergeChangedRatings(jsonSource),
            JSON.stringify(source),
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
