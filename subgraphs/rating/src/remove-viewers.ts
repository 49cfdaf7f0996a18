import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import { Refusal } from '@cinegraph/service/refusal';
import type { PrismaClient } from './generated/prisma/client.js';
import { createRepeatedWork, type RepeatedWork } from './repeated-work.js';
import { deleteVotes, findVotesOfViewer } from './sql/remove-viewers.js';
import { writeRatings } from './write-ratings.js';

/** How many movies a transaction removes votes from, at most. Their other voters wait for it. */
const stepSize = 500;

/**
 * How long after its deletion a user may still rate: an access token is accepted for ten minutes, and clocks
 * differ.
 */
const lateVotesMs = 15 * 60 * 1000;

/**
 * Notes in the open transaction that all votes of users have to be removed, because their accounts were
 * deleted. It has no effect on a user for whom it was noted before.
 */
export const noteDeletedUsers = async (
  tx: RawTransaction,
  userIds: readonly string[],
  now: Date,
): Promise<void> => {
  await tx.$executeRawUnsafe(
    `INSERT INTO deleted_viewer (viewer_id, next_at, final_at)
     SELECT DISTINCT id, $2::timestamptz, $3::timestamptz FROM unnest($1::text[]) AS id ORDER BY id
     ON CONFLICT (viewer_id) DO NOTHING`,
    userIds,
    now.toISOString(),
    new Date(now.getTime() + lateVotesMs).toISOString(),
  );
};

/**
 * Creates a part that removes the votes of deleted users: at once, and again when the last access token of
 * the account has expired. Each step is one transaction, so that after a kill the next start continues;
 * several replicas may do it at the same time.
 */
export const createViewerRemoval = (prisma: PrismaClient, clock: Clock, logger: Logger): RepeatedWork =>
  createRepeatedWork('removal of deleted users', logger, (signal) => removeViewers(prisma, clock, signal));

/** Removes what is due of deleted users, until nothing is or `signal` is aborted. */
export const removeViewers = async (
  prisma: PrismaClient,
  clock: Clock,
  signal?: AbortSignal,
  size = stepSize,
): Promise<void> => {
  const isStopped = () => signal?.aborted === true;
  while (!isStopped()) {
    const due = await prisma.deletedViewer.findMany({
      where: { nextAt: { lte: clock.now() } },
      orderBy: [{ nextAt: 'asc' }, { viewerId: 'asc' }],
      take: 100,
    });
    if (due.length === 0) return;
    for (const { viewerId, nextAt, finalAt } of due) {
      while (!isStopped() && !(await removeStep(prisma, viewerId, clock.now(), size)));
      if (isStopped()) return;
      // A replica that did the same has changed the row before.
      const where = { viewerId, nextAt };
      if (nextAt >= finalAt) await prisma.deletedViewer.deleteMany({ where });
      else await prisma.deletedViewer.updateMany({ where, data: { nextAt: finalAt } });
    }
  }
};

/**
 * Removes votes of a viewer for at most `size` movies, and returns true if none is left. Votes that count are
 * retracted first, by the same merge as a retraction, so that aggregates and events are those of one.
 */
export const removeStep = (
  prisma: PrismaClient,
  viewerId: string,
  now: Date,
  size = stepSize,
): Promise<boolean> =>
  retryOnConflict(() =>
    prisma.$transaction(
      async (tx) => {
        const votes = await tx.$queryRawUnsafe<readonly { movieId: string }[]>(
          findVotesOfViewer,
          viewerId,
          size,
        );
        const movieIds = votes.map(({ movieId }) => movieId);
        // Stored answers have reviews. They are deleted without votes, too.
        await tx.idempotency.deleteMany({ where: { viewerId } });
        if (movieIds.length === 0) return true;
        const command = { viewerId, score: null, review: null };
        const submissions = movieIds.map((movieId) => ({ command: { ...command, movieId }, trace: null }));
        const answers = await writeRatings(tx, submissions, now);
        // The vote for a joined movie is stored with the movie that is kept.
        const keptIds = answers.flatMap((answer) =>
          answer instanceof Refusal ? [] : (answer.movieId ?? []),
        );
        await tx.$executeRawUnsafe(deleteVotes, viewerId, [...movieIds, ...keptIds]);
        return movieIds.length < size;
      },
      { maxWait: 10_000, timeout: 60_000 },
    ),
  );
