import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
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
import { checkRating, type RatingCommand } from './rules.js';
import { writeRatings, type RatingAnswer, type Submission } from './write-ratings.js';

/**
 * The writes of rating. Concurrent commands share a transaction; each caller gets its own answer or refusal.
 */
export interface RatingCommands {
  /**
   * Submits a rating, or retracts it if the score is null. Refuses with the codes of `checkRating` and
   * `decideRating`. With an idempotency key, the same command sent again returns the stored answer, and
   * another command under the key is refused with `IDEMPOTENCY_KEY_REUSED`.
   */
  rate(command: RatingCommand, idempotencyKey?: string | null): Promise<RatingAnswer>;
  readonly parts: readonly Part[];
}

/** Creates the commands. `parts` must be stopped before the Prisma client is disconnected. */
export const createRatingCommands = (tools: {
  prisma: PrismaClient;
  clock: Clock;
  logger: Logger;
}): RatingCommands => {
  const { prisma, clock, logger } = tools;
  const batcher = createWriteBatcher<Submission & { readonly keyed: KeyedCommand | null }, RatingAnswer>({
    commandKey: ({ command }) => ratingKeyOf(command),
    conflictGroup: ({ command }) => command.movieId,
    run: (batch) =>
      prisma.$transaction(
        (tx) => {
          const now = clock.now();
          return answerBatch(tx, batch, now, (submissions) => writeRatings(tx, submissions, now));
        },
        { maxWait: 2_000, timeout: 15_000 },
      ),
  });
  return {
    rate: async (command, idempotencyKey) => {
      checkRating(command);
      const trace = currentTrace();
      if (idempotencyKey == null) return batcher.submit({ command, trace, keyed: null });
      checkIdempotencyKey(idempotencyKey);
      const { viewerId, score, movieId, review } = command;
      const operation = score === null ? 'retractRating' : 'submitRating';
      return batcher.submit({
        command,
        trace,
        keyed: { viewerId, key: idempotencyKey, operation, arguments: { movieId, score, review } },
      });
    },
    parts: [batcher.part, createKeyPruning(prisma, clock, logger)],
  };
};
