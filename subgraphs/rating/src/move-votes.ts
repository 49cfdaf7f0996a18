import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import type { Logger } from '@cinegraph/service/logger';
import type { PrismaClient } from './generated/prisma/client.js';
import { lockMovies, moveVotesOf, type VoteMove } from './joined-movies.js';
import { createRepeatedWork, type RepeatedWork } from './repeated-work.js';
import { markJoined } from './sql/moves.js';

/** How many votes a transaction moves at most. Ratings of the two movies wait for one such transaction. */
const stepSize = 5_000;

/**
 * Creates a part that moves the votes of joined and parted movies, one step after the other. Each step is one
 * transaction, so that after a kill at any moment the next start continues. Several replicas may do it at the
 * same time: the locks of the movies let them take turns.
 */
export const createVoteMoving = (prisma: PrismaClient, logger: Logger): RepeatedWork =>
  createRepeatedWork('moving of votes', logger, (signal) => moveAllVotes(prisma, signal));

/** Moves votes until none has to move, or until `signal` is aborted. */
export const moveAllVotes = async (
  prisma: PrismaClient,
  signal?: AbortSignal,
  size = stepSize,
): Promise<void> => {
  for (;;) {
    const moves = await prisma.voteMove.findMany({
      orderBy: [{ movieId: 'asc' }, { counterpart: 'asc' }],
      take: 100,
    });
    if (moves.length === 0) return;
    for (const move of moves) {
      while (signal?.aborted !== true && !(await moveStep(prisma, move, size)));
    }
    if (signal?.aborted === true) return;
  }
};

/** Moves at most `size` votes of a move, and returns true if the move is done. */
export const moveStep = (
  prisma: PrismaClient,
  { movieId, counterpart }: Pick<VoteMove, 'movieId' | 'counterpart'>,
  size = stepSize,
): Promise<boolean> =>
  retryOnConflict(() =>
    prisma.$transaction(
      async (tx) => {
        const { rows, moves } = await lockMovies(tx, [movieId, counterpart]);
        const move = moves.find((found) => found.movieId === movieId && found.counterpart === counterpart);
        // Another replica has finished it.
        if (!move) return true;
        if (!(await moveVotesOf(tx, move, null, size))) return false;
        await tx.voteMove.delete({ where: { movieId_counterpart: { movieId, counterpart } } });
        await tx.$executeRawUnsafe(markJoined, [...rows.keys()]);
        return true;
      },
      { maxWait: 10_000, timeout: 60_000 },
    ),
  );
