import type { Clock } from '@cinegraph/service/clock';
import { createWriteBatcher } from '@cinegraph/subgraph/write-batcher';
import type { Refusal } from '@cinegraph/service/refusal';
import {
  checkIdempotencyKey,
  claimKeys,
  fromStored,
  idempotencyKeyReused,
  createKeyPruning,
  storeAnswers,
  toStored,
  type KeyedCommand,
  type StoredAnswer,
} from '@cinegraph/subgraph/idempotency';
import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { currentTrace } from '@cinegraph/service/telemetry/tracing';
import type { PrismaClient } from './generated/prisma/client.js';
import {
  createAggregates,
  lockAggregates,
  mergeEvents,
  mergeRatings,
  toAggregatedRating,
  type AggregateRow,
  type SourceRow,
} from './merge.js';
import { noVotes, type AggregatedRatingModel, type RatingModel } from './models.js';
import { ratingKeyOf } from './queries.js';
import { checkRating, decideRating, isLater, type EventOrder, type RatingCommand } from './rules.js';

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
  readonly trace: string | null;
  readonly keyed: KeyedCommand | null;
}

/** Opens the commands on a Prisma client; `parts` must be stopped before the client is. */
export const createRatingCommands = (tools: {
  prisma: PrismaClient;
  clock: Clock;
  logger: Logger;
}): RatingCommands => {
  const { prisma, clock, logger } = tools;
  const coalescer = createWriteBatcher<Submission, RatingAnswer>({
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
      const trace = currentTrace();
      if (idempotencyKey == null) return coalescer.submit({ command, trace, keyed: null });
      checkIdempotencyKey(idempotencyKey);
      const { viewerId, score, movieId, review } = command;
      const operation = score === null ? 'retractRating' : 'submitRating';
      return coalescer.submit({
        command,
        trace,
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

  const written = await applyRatings(tx, open, now);
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

/** A rating that an outside event submits (`score` 1 to 10) or retracts (null), and its place in the order of events. */
export interface IncomingRating extends RatingCommand {
  readonly order: EventOrder;
  /** The `traceparent` that the event carries. */
  readonly trace: string | null;
}

/**
 * Writes what outside events say in the open transaction, as a mutation is written: of one viewer and movie the latest by
 * the events' own order wins, within the batch and against what is stored, whatever the order of arrival. Answers the
 * refusal `MOVIE_DELETED` or null for each, in order; the commands have been checked by `checkRating`.
 */
export const applyEvents = async (
  tx: RawTransaction,
  events: readonly IncomingRating[],
  now: Date,
): Promise<readonly (Refusal | null)[]> => {
  const { refusals } = await lockAndDecide(tx, events, true);
  const latest = new Map<string, IncomingRating>();
  events.forEach((event, index) => {
    if (refusals[index]) return;
    const other = latest.get(ratingKeyOf(event));
    if (!other || isLater(event.order, other.order)) latest.set(ratingKeyOf(event), event);
  });
  if (latest.size > 0) {
    const writtenAt = now.toISOString();
    await tx.$queryRawUnsafe(
      mergeEvents,
      JSON.stringify([...latest.values()].map((event) => toSourceRow(event, 'event', writtenAt))),
    );
  }
  return refusals;
};

interface MergedRow extends Nullable<AggregateRow> {
  readonly movieId: string;
  readonly viewerId: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly oldScore: number | null;
}

type Nullable<Row> = { readonly [Column in keyof Row]: Row[Column] | null };

const hasMoved = (row: MergedRow): row is MergedRow & AggregateRow => row.count !== null;

/** Locks the movies, asks the rule, merges what it accepts; outcomes in the order of the submissions. */
const applyRatings = async (
  tx: RawTransaction,
  submissions: readonly Submission[],
  now: Date,
): Promise<readonly (RatingAnswer | Refusal)[]> => {
  if (submissions.length === 0) return [];
  const commands = submissions.map(({ command }) => command);
  const { refusals, locked } = await lockAndDecide(tx, commands, false);
  const last = new Map<string, SourceRow>();
  const writtenAt = now.toISOString();
  submissions.forEach(({ command, trace }, index) => {
    // A movie that was not locked has no ratings, and nothing to retract.
    if (refusals[index] || !locked.has(command.movieId)) return;
    last.set(ratingKeyOf(command), toSourceRow({ ...command, trace }, 'mutation', writtenAt));
  });
  const rows = await tx.$queryRawUnsafe<readonly MergedRow[]>(
    mergeRatings,
    JSON.stringify([...last.values()]),
  );
  const merged = new Map(rows.map((row) => [ratingKeyOf(row), row]));
  const aggregates = await readAggregates(
    tx,
    commands.map(({ movieId }) => movieId),
    rows,
  );
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
      aggregatedRating: aggregates.get(movieId) ?? noVotes,
    };
  });
};

/**
 * Locks the movies of the commands, in order, and asks the rule of each. A movie without an aggregate has no ratings: it
 * gets one only when it is rated, or (`keepsRetractions`) when a retraction of what is not there yet is to be kept.
 */
const lockAndDecide = async (
  tx: RawTransaction,
  commands: readonly RatingCommand[],
  keepsRetractions: boolean,
): Promise<{ refusals: readonly (Refusal | null)[]; locked: ReadonlySet<string> }> => {
  const movieIds = [...new Set(commands.map(({ movieId }) => movieId))];
  const rated = keepsRetractions
    ? movieIds
    : [...new Set(commands.flatMap(({ movieId, score }) => (score === null ? [] : [movieId])))];
  if (rated.length > 0) await tx.$executeRawUnsafe(createAggregates, rated);
  const states = new Map(
    (
      await tx.$queryRawUnsafe<readonly { movie_id: string; deleted: boolean }[]>(lockAggregates, movieIds)
    ).map((row) => [row.movie_id, { deleted: row.deleted }]),
  );
  return {
    refusals: commands.map((command) =>
      decideRating(states.get(command.movieId) ?? { deleted: false }, command),
    ),
    locked: new Set(states.keys()),
  };
};

const toSourceRow = (
  { movieId, viewerId, score, review, order, trace }: RatingCommand & Partial<IncomingRating>,
  origin: 'mutation' | 'event',
  writtenAt: string,
): SourceRow => ({
  movie_id: movieId,
  viewer_id: viewerId,
  score,
  review,
  origin,
  written_at: writtenAt,
  trace: trace ?? null,
  ...(order &&
    ('version' in order
      ? { rating_version: order.version }
      : {
          event_time: order.appendedAt.toISOString(),
          event_partition: order.partition,
          event_offset: String(order.offset),
        })),
});

/** The aggregates of the movies behind the merge: as it answered them, and as they stand where it moved nothing. */
const readAggregates = async (
  tx: RawTransaction,
  movieIds: readonly string[],
  rows: readonly MergedRow[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const aggregates = new Map(
    rows.filter(hasMoved).map((row) => [row.movieId, toAggregatedRating(row)] as const),
  );
  const rest = [...new Set(movieIds.filter((id) => !aggregates.has(id)))];
  if (rest.length === 0) return aggregates;
  const found = await tx.$queryRawUnsafe<readonly (AggregateRow & { movie_id: string })[]>(
    'SELECT * FROM aggregated_rating WHERE movie_id = ANY ($1::text[])',
    rest,
  );
  for (const row of found) aggregates.set(row.movie_id, toAggregatedRating(row));
  return aggregates;
};
