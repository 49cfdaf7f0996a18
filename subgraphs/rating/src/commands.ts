import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { Refusal } from '@cinegraph/service/refusal';
import { currentTrace } from '@cinegraph/service/telemetry/tracing';
import {
  answerBatch,
  checkIdempotencyKey,
  createKeyPruning,
  type KeyedCommand,
} from '@cinegraph/subgraph/idempotency';
import { createWriteBatcher } from '@cinegraph/subgraph/write-batcher';
import type { PrismaClient } from './generated/prisma/client.js';
import { ratingKeyOf } from './models.js';
import { createMovieArrivals } from './movie-arrivals.js';
import { findHeardOf } from './queries/aggregated-ratings.js';
import { checkRating, movieNotFoundCode, type RatingCommand } from './rules.js';
import { writeRatings, type RatingAnswer, type Submission } from './write-ratings.js';

/**
 * The writes of rating. Concurrent commands share a transaction; each caller gets its own answer or refusal.
 */
export interface RatingCommands {
  /**
   * Submits a rating, or retracts it if the score is null. Refuses with the codes of `checkRating` and
   * `decideRating`. A movie that is not known yet is awaited for one second before it is refused with
   * `MOVIE_NOT_FOUND`; other commands do not wait for it. With an idempotency key, the same command sent
   * again returns the stored answer, and another command under the key is refused with
   * `IDEMPOTENCY_KEY_REUSED`. No key is stored for `MOVIE_NOT_FOUND`, so that the same command succeeds
   * once the movie is known.
   */
  rate(command: RatingCommand, idempotencyKey?: string | null): Promise<RatingAnswer>;
  readonly parts: readonly Part[];
}

type KeyedSubmission = Submission & { readonly keyed: KeyedCommand | null };

/** Creates the commands. `parts` must be stopped before the Prisma client is disconnected. */
export const createRatingCommands = (tools: {
  prisma: PrismaClient;
  clock: Clock;
  logger: Logger;
}): RatingCommands => {
  const { prisma, clock, logger } = tools;
  const batcher = createWriteBatcher<KeyedSubmission, RatingAnswer>({
    commandKey: ({ command }) => ratingKeyOf(command),
    conflictGroup: ({ command }) => command.movieId,
    run: (batch) =>
      prisma.$transaction(
        (tx) => {
          const now = clock.now();
          return answerBatch(tx, batch, now, (submissions) => writeRatings(tx, submissions, now), {
            isFinal: ({ code }) => code !== movieNotFoundCode,
          });
        },
        { maxWait: 2_000, timeout: 15_000 },
      ),
  });
  const arrivals = createMovieArrivals((movieIds) => findHeardOf(prisma, movieIds));
  const submit = async (keyed: KeyedSubmission): Promise<RatingAnswer> => {
    try {
      return await batcher.submit(keyed);
    } catch (error) {
      if (!(error instanceof Refusal && error.code === movieNotFoundCode)) throw error;
      if (!(await arrivals.wait(keyed.command.movieId))) throw error;
      return batcher.submit(keyed);
    }
  };
  return {
    rate: async (command, idempotencyKey) => {
      checkRating(command);
      const trace = currentTrace();
      if (idempotencyKey == null) return submit({ command, trace, keyed: null });
      checkIdempotencyKey(idempotencyKey);
      const { viewerId, score, movieId, review } = command;
      const operation = score === null ? 'retractRating' : 'submitRating';
      return submit({
        command,
        trace,
        keyed: { viewerId, key: idempotencyKey, operation, arguments: { movieId, score, review } },
      });
    },
    parts: [batcher.part, createKeyPruning(prisma, clock, logger)],
  };
};
