import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Refusal } from '@cinegraph/service/refusal';
import { noVotes, ratingKeyOf, type AggregatedRatingModel, type RatingModel } from './models.js';
import { decideRating, isLater, type EventOrder, type RatingCommand } from './rules.js';
import {
  createAggregates,
  lockAggregates,
  mergeEvents,
  mergeRatings,
  readAggregates,
  type SourceRow,
} from './sql/merge.js';

/** A rating command of a viewer, and the `traceparent` of its request. */
export interface Submission {
  readonly command: RatingCommand;
  readonly trace: string | null;
}

/**
 * The result of a rating command: the rating as submitted (null for a retraction), whether a rating was
 * retracted, and the aggregate of the movie after the batch. Times are RFC 3339 text, because the answer is
 * stored as plain JSON for its idempotency key.
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

/**
 * Writes a batch of submissions in the open transaction: locks the movies, asks the rule, and merges the
 * accepted ones. Returns an answer or a refusal for each, in order. If a viewer rates a movie more than once
 * in the batch, the last rating wins, and each answer has the rating that was submitted.
 */
export const writeRatings = async (
  tx: RawTransaction,
  submissions: readonly Submission[],
  now: Date,
): Promise<readonly (RatingAnswer | Refusal)[]> => {
  const commands = submissions.map(({ command }) => command);
  const { refusals, locked } = await lockAndDecide(tx, commands, { keepRetractions: false });
  const last = new Map<string, SourceRow>();
  const writtenAt = now.toISOString();
  submissions.forEach(({ command, trace }, index) => {
    // A movie without an aggregate has no ratings, and nothing to retract.
    if (refusals[index] || !locked.has(command.movieId)) return;
    last.set(ratingKeyOf(command), toSourceRow(command, 'mutation', trace, writtenAt));
  });
  const rows = await tx.$queryRawUnsafe<readonly MergedRow[]>(
    mergeRatings,
    JSON.stringify([...last.values()]),
  );
  const merged = new Map(rows.map((row) => [ratingKeyOf(row), row]));
  const aggregates = await aggregatesOf(tx, commands, rows);
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

/** A rating that an external event submits or retracts, and its position in the order of such events. */
export interface IncomingRating extends RatingCommand {
  readonly order: EventOrder;
  /** The `traceparent` of the event. */
  readonly trace: string | null;
}

/**
 * Writes the ratings of external events in the open transaction, with the same locks and the same merge as
 * mutations. The latest event of a movie and viewer wins, both within the batch and against the stored
 * rating, in whatever order events arrive. Returns the refusal `MOVIE_DELETED` or null for each event, in
 * order. `checkRating` must have accepted the events.
 */
export const applyEvents = async (
  tx: RawTransaction,
  events: readonly IncomingRating[],
  now: Date,
): Promise<readonly (Refusal | null)[]> => {
  const { refusals } = await lockAndDecide(tx, events, { keepRetractions: true });
  const latest = new Map<string, IncomingRating>();
  events.forEach((event, index) => {
    if (refusals[index]) return;
    const other = latest.get(ratingKeyOf(event));
    if (!other || isLater(event.order, other.order)) latest.set(ratingKeyOf(event), event);
  });
  if (latest.size > 0) {
    // Thousands of rows a batch: the time is formatted once, and a row is built without a copy.
    const writtenAt = now.toISOString();
    const source = [...latest.values()].map((event) =>
      Object.assign(toSourceRow(event, 'event', event.trace, writtenAt), orderColumns(event.order)),
    );
    await tx.$queryRawUnsafe(mergeEvents, JSON.stringify(source));
  }
  return refusals;
};

/**
 * Locks the movies of the commands, in order, and asks the rule about each command. A movie without an
 * aggregate has no ratings. It gets an aggregate if it is rated, and with `keepRetractions` also if a rating
 * of it is retracted.
 */
const lockAndDecide = async (
  tx: RawTransaction,
  commands: readonly RatingCommand[],
  { keepRetractions }: { readonly keepRetractions: boolean },
): Promise<{ refusals: readonly (Refusal | null)[]; locked: ReadonlySet<string> }> => {
  const written = commands.filter(({ score }) => keepRetractions || score !== null);
  if (written.length > 0) await tx.$executeRawUnsafe(createAggregates, movieIdsOf(written));
  const rows = await tx.$queryRawUnsafe<readonly { movie_id: string; deleted: boolean }[]>(
    lockAggregates,
    movieIdsOf(commands),
  );
  const states = new Map(rows.map(({ movie_id, deleted }) => [movie_id, { deleted }]));
  return {
    refusals: commands.map((command) =>
      decideRating(states.get(command.movieId) ?? { deleted: false }, command),
    ),
    locked: new Set(states.keys()),
  };
};

const movieIdsOf = (commands: readonly RatingCommand[]): readonly string[] => [
  ...new Set(commands.map(({ movieId }) => movieId)),
];

const toSourceRow = (
  { movieId, viewerId, score, review }: RatingCommand,
  origin: 'mutation' | 'event',
  trace: string | null,
  writtenAt: string,
): SourceRow => ({
  movie_id: movieId,
  viewer_id: viewerId,
  score,
  review,
  origin,
  written_at: writtenAt,
  trace,
});

const orderColumns = (order: EventOrder): SourceRow =>
  'version' in order
    ? { rating_version: order.version }
    : {
        event_time: order.appendedAt.toISOString(),
        event_partition: order.partition,
        event_offset: String(order.offset),
      };

/** A row that `mergeRatings` returns; `aggregate` is null if the aggregate of the movie did not change. */
interface MergedRow {
  readonly movieId: string;
  readonly viewerId: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly oldScore: number | null;
  readonly aggregate: AggregatedRatingModel | null;
}

/**
 * Returns the aggregates of the commands' movies after the merge; it reads those that the merge did not
 * change.
 */
const aggregatesOf = async (
  tx: RawTransaction,
  commands: readonly RatingCommand[],
  merged: readonly MergedRow[],
): Promise<ReadonlyMap<string, AggregatedRatingModel>> => {
  const aggregates = new Map<string, AggregatedRatingModel>();
  for (const { movieId, aggregate } of merged) if (aggregate) aggregates.set(movieId, aggregate);
  const unchanged = movieIdsOf(commands).filter((movieId) => !aggregates.has(movieId));
  if (unchanged.length === 0) return aggregates;
  const rows = await tx.$queryRawUnsafe<readonly { movieId: string; aggregate: AggregatedRatingModel }[]>(
    readAggregates,
    unchanged,
  );
  for (const { movieId, aggregate } of rows) aggregates.set(movieId, aggregate);
  return aggregates;
};
