import type { Clock } from '@cinegraph/kit/clock';
import { createCoalescer } from '@cinegraph/kit/coalesce';
import type { Refusal } from '@cinegraph/kit/errors';
import {
  checkIdempotencyKey,
  claimKeys,
  fromStored,
  idempotencyKeyReused,
  createKeyPruning,
  storeAnswers,
  toStored,
  type KeyedCommand,
  type RawTransaction,
  type StoredAnswer,
} from '@cinegraph/kit/idempotency';
import type { Logger } from '@cinegraph/kit/logger';
import type { Part } from '@cinegraph/kit/service';
import type { PrismaClient } from './generated/prisma/client.js';
import {
  createAggregates,
  jsonSource,
  lockAggregates,
  mergeRatings,
  toAggregatedRating,
  type AggregateRow,
} from './merge.js';
import { noVotes, type AggregatedRatingModel, type RatingModel } from './models.js';
import { ratingKeyOf } from './queries.js';
import { checkRating, decideRating, type RatingCommand } from './rules.js';

/**
 * What a rating command did: the rating as submitted (null for a retraction), whether there was one to retract, and the
 * movie's aggregate behind the batch. Plain JSON, as it is stored for an idempotency key: times are RFC 3339 text.
 */
export interface RatingAnswer {
  readonly rating:
    | (Omit<RatingModel, 'createdAt' | 'updatedAt'> & {
        readonly createdAt: string;
        readonly updatedAt: string;
      })
    | null;
  readonly retracted: boolean;
  readonly aggregatedRating: AggregatedRatingModel;
}

/** The writes of rating. Concurrent ones share a transaction; each caller gets its own answer or refusal. */
export interface RatingCommands {
  /** Refuses with the codes of `checkRating` and `decideRating`, and `IDEMPOTENCY_KEY_REUSED`. */
  rate(command: RatingCommand, idempotencyKey?: string | null): Promise<RatingAnswer>;
  readonly parts: readonly Part[];
}

interface Submission {
  readonly command: RatingCommand;
  readonly keyed: KeyedCommand | null;
}

/** Opens the commands on a Prisma client; `parts` must be stopped before the client is. */
export const createRatingCommands = (tools: {
  prisma: PrismaClient;
  clock: Clock;
  logger: Logger;
}): RatingCommands => {
  const { prisma, clock, logger } = tools;
  const coalescer = createCoalescer<Submission, RatingAnswer>({
    identity: ({ command }) => ratingKeyOf(command),
    lane: ({ command }) => command.movieId,
    run: (batch) =>
      prisma.$transaction((tx) => writeRatings(tx, batch, clock.now()), {
        maxWait: 2_000,
        timeout: 15_000,
      }),
  });
  return {
    rate: async (command, idempotencyKey) => {
      checkRating(command);
      if (idempotencyKey == null) return coalescer.submit({ command, keyed: null });
      checkIdempotencyKey(idempotencyKey);
      const { viewerId, score, movieId, review } = command;
      const operation = score === null ? 'retractRating' : 'submitRating';
      return coalescer.submit({
        command,
        keyed: { viewerId, key: idempotencyKey, operation, arguments: { movieId, score, review } },
      });
    },
    parts: [coalescer.part, createKeyPruning(prisma, clock, logger)],
  };
};

/**
 * Writes a batch in the open transaction: keys claimed, movies locked, rules asked, one merge, answers stored.
 * Where a viewer rates a movie more than once in a batch the last wins; each is answered with what it submitted.
 */
export const writeRatings = async (
  tx: RawTransaction,
  batch: readonly Submission[],
  now: Date,
): Promise<readonly (RatingAnswer | Refusal)[]> => {
  const outcomes = new Array<RatingAnswer | Refusal | undefined>(batch.length);
  const sameAs = new Map<number, number>();
  const keyedIndexes = batch.flatMap(({ keyed }, index) => (keyed ? [index] : []));
  const claims = await claimKeys(
    tx,
    batch.flatMap(({ keyed }) => keyed ?? []),
    now,
  );
  claims.forEach((claim, position) => {
    const index = keyedIndexes[position] ?? 0;
    if (claim.kind === 'answered') outcomes[index] = fromStored(claim.stored) as RatingAnswer | Refusal;
    if (claim.kind === 'reused') outcomes[index] = idempotencyKeyReused();
    if (claim.kind === 'same') sameAs.set(index, keyedIndexes[claim.as] ?? 0);
  });
  const open = batch.flatMap((submission, index) =>
    outcomes[index] === undefined && !sameAs.has(index) ? [{ ...submission, index }] : [],
  );

  const written = await applyRatings(
    tx,
    open.map(({ command }) => command),
    now,
  );
  open.forEach(({ index }, position) => {
    outcomes[index] = written[position];
  });
  await storeAnswers(
    tx,
    open.flatMap(({ keyed, index }): (readonly [KeyedCommand, StoredAnswer])[] =>
      keyed ? [[keyed, toStored(outcomes[index])]] : [],
    ),
  );
  return batch.map((_submission, index) => {
    const outcome = outcomes[sameAs.get(index) ?? index];
    if (!outcome) throw new Error('a rating of the batch was neither written nor refused');
    return outcome;
  });
};

interface MergedRow extends AggregateRow {
  readonly movieId: string;
  readonly viewerId: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly oldScore: number | null;
}

/** Locks the movies, asks the rule, merges what it accepts; outcomes in the order of the commands. */
const applyRatings = async (
  tx: RawTransaction,
  commands: readonly RatingCommand[],
  now: Date,
): Promise<readonly (RatingAnswer | Refusal)[]> => {
  if (commands.length === 0) return [];
  const movieIds = [...new Set(commands.map(({ movieId }) => movieId))];
  const rated = new Set(commands.flatMap(({ movieId, score }) => (score === null ? [] : [movieId])));
  if (rated.size > 0) await tx.$executeRawUnsafe(createAggregates, [...rated]);
  const states = new Map(
    (
      await tx.$queryRawUnsafe<readonly { movie_id: string; deleted: boolean }[]>(lockAggregates, movieIds)
    ).map((row) => [row.movie_id, { deleted: row.deleted }]),
  );
  const refusals = commands.map((command) =>
    decideRating(states.get(command.movieId) ?? { deleted: false }, command),
  );
  const last = new Map<string, RatingCommand>();
  commands.forEach((command, index) => {
    // A movie without an aggregate was not locked: it has no ratings, and nothing to retract.
    if (!refusals[index] && states.has(command.movieId)) last.set(ratingKeyOf(command), command);
  });
  const rows = await tx.$queryRawUnsafe<readonly MergedRow[]>(
    mergeRatings(jsonSource),
    JSON.stringify(
      [...last.values()].map(({ movieId, viewerId, score, review }) => ({
        movie_id: movieId,
        viewer_id: viewerId,
        score,
        review,
        origin: 'mutation',
        written_at: now.toISOString(),
      })),
    ),
  );
  const merged = new Map(rows.map((row) => [ratingKeyOf(row), row]));
  const unmoved = await readUnmoved(tx, movieIds, rows);
  return commands.map((command, index) => {
    const refusal = refusals[index];
    if (refusal) return refusal;
    const row = merged.get(ratingKeyOf(command));
    const { movieId, viewerId, score, review } = command;
    return {
      rating:
        score === null
          ? null
          : {
              movieId,
              viewerId,
              score,
              review,
              createdAt: (row?.createdAt ?? now).toISOString(),
              updatedAt: (row?.updatedAt ?? now).toISOString(),
            },
      retracted: score === null && row?.oldScore != null,
      aggregatedRating: row ? toAggregatedRating(row) : (unmoved.get(movieId) ?? noVotes),
    };
  });
};

/** The aggregates of movies of the batch that a retraction asked for, but nothing moved. */
const readUnmoved = async (
  tx: RawTransaction,
  movieIds: readonly string[],
  rows: readonly MergedRow[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const moved = new Map(rows.map((row) => [row.movieId, toAggregatedRating(row)]));
  const rest = movieIds.filter((id) => !moved.has(id));
  if (rest.length === 0) return moved;
  const found = await tx.$queryRawUnsafe<readonly (AggregateRow & { movie_id: string })[]>(
    'SELECT * FROM aggregated_rating WHERE movie_id = ANY ($1::text[])',
    rest,
  );
  for (const row of found) moved.set(row.movie_id, toAggregatedRating(row));
  return moved;
};
