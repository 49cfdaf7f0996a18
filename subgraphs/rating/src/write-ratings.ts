import type { RawTransaction } from '@cinegraph/database/transaction';
import type { Refusal } from '@cinegraph/service/refusal';
import { lockRatedMovies, type RatedMovies } from './joined-movies.js';
import { noVotes, ratingKeyOf, type AggregatedRatingModel, type RatingModel } from './models.js';
import {
  decideEvent,
  decideRating,
  isLater,
  movieNotFound,
  type EventOrder,
  type MovieState,
  type RatingCommand,
} from './rules.js';
import { createAggregates, mergeEvents, mergeRatings, readAggregates, type SourceRow } from './sql/merge.js';

/** A rating command of a viewer, and the `traceparent` of its request. */
export interface Submission {
  readonly command: RatingCommand;
  readonly trace: string | null;
}

/**
 * The result of a rating command: the id of the movie, which is another one if the movie of the command is
 * joined into it; the rating as submitted (null for a retraction), whether a rating was retracted, and the
 * aggregate of the movie after the batch, or null if the movie is deleted or unknown. Times are RFC 3339
 * text, because the answer is stored as plain JSON for its idempotency key.
 */
export interface RatingAnswer {
  /** Left out by an earlier release, whose stored answer may be returned again. */
  readonly movieId?: string;
  readonly rating:
    | (Omit<RatingModel, 'createdAt' | 'updatedAt'> & {
        readonly createdAt: string;
        readonly updatedAt: string;
      })
    | null;
  readonly retracted: boolean;
  readonly aggregatedRating: AggregatedRatingModel | null;
}

/**
 * Writes a batch of submissions in the open transaction: locks the movies, asks the rule, and merges the
 * accepted ones. Returns an answer or a refusal for each, in order. If a viewer rates a movie more than once
 * in the batch, the last rating wins, and each answer has the rating that was submitted. Nothing is written
 * for an unknown movie, except that a rating which is stored for it can be retracted.
 */
export const writeRatings = async (
  tx: RawTransaction,
  submissions: readonly Submission[],
  now: Date,
): Promise<readonly (RatingAnswer | Refusal)[]> => {
  const named = submissions.map(({ command }) => command);
  // Every known movie has an aggregate. None is created here, or anybody could fill the table with ids.
  const movies = await lockRatedMovies(tx, movieIdsOf(named), () => viewerIdsOf(named));
  const stateOf = ({ movieId }: RatingCommand): MovieState => movies.stateOf(movieId) ?? 'unknown';
  const commands = named.map((command) => toKept(command, movies));
  const refusals = commands.map((command) => decideRating(stateOf(command), command));
  const last = new Map<string, SourceRow>();
  const writtenAt = now.toISOString();
  submissions.forEach(({ trace }, index) => {
    const command = commands[index];
    if (!command || refusals[index] || movies.stateOf(command.movieId) === undefined) return;
    last.set(ratingKeyOf(command), toSourceRow(command, 'mutation', trace, writtenAt));
  });
  const rows = await tx.$queryRawUnsafe<readonly MergedRow[]>(
    mergeRatings[movies.form],
    JSON.stringify([...last.values()]),
  );
  const merged = new Map(rows.map((row) => [ratingKeyOf(row), row]));
  const aggregates = await aggregatesOf(tx, commands, rows);
  return commands.map((command, index) => {
    const refusal = refusals[index];
    if (refusal) return refusal;
    const row = merged.get(ratingKeyOf(command));
    if (!row && stateOf(command) === 'unknown') return movieNotFound(command);
    const { movieId, viewerId, score, review } = command;
    return {
      movieId,
      rating:
        score === null
          ? null
          : {
              movieId,
              viewerId,
              score,
              review,
              provider: null,
              createdAt: (row?.createdAt ?? now).toISOString(),
              updatedAt: (row?.updatedAt ?? now).toISOString(),
            },
      retracted: score === null && row?.oldScore != null,
      aggregatedRating: stateOf(command) === 'known' ? (aggregates.get(movieId) ?? noVotes) : null,
    };
  });
};

/** A rating that an external event submits or retracts, and its position in the order of such events. */
export interface IncomingRating extends RatingCommand {
  readonly order: EventOrder;
  /** Who published the event, if it says so. */
  readonly provider: string | null;
  /** The `traceparent` of the event. */
  readonly trace: string | null;
}

/**
 * Writes the ratings of external events in the open transaction, with the same locks and the same merge as
 * mutations. A rating of an unknown movie is kept, and shows once the movie comes. The latest event of a
 * movie and viewer wins, both within the batch and against the stored rating, in whatever order events
 * arrive. Returns the refusal `MOVIE_DELETED` or null for each event, in order. `checkRating` must have
 * accepted the events.
 */
export const applyEvents = async (
  tx: RawTransaction,
  events: readonly IncomingRating[],
  now: Date,
): Promise<readonly (Refusal | null)[]> => {
  const movieIds = movieIdsOf(events);
  await tx.$executeRawUnsafe(createAggregates, movieIds);
  const movies = await lockRatedMovies(tx, movieIds, () => viewerIdsOf(events));
  const refusals = events.map((event) => decideEvent(movies.stateOf(event.movieId) ?? 'unknown', event));
  const latest = new Map<string, IncomingRating & KeptRating>();
  events.forEach((named, index) => {
    if (refusals[index]) return;
    const event = toKept(named, movies);
    const other = latest.get(ratingKeyOf(event));
    if (!other || isLater(event.order, other.order)) latest.set(ratingKeyOf(event), event);
  });
  if (latest.size > 0) {
    // Thousands of rows a batch: the time is formatted once, and a row is built without a copy.
    const writtenAt = now.toISOString();
    const source = [...latest.values()].map((event) =>
      Object.assign(
        toSourceRow(event, 'event', event.trace, writtenAt),
        orderColumns(event.order),
        event.provider !== null && { provider: event.provider },
      ),
    );
    await tx.$queryRawUnsafe(mergeEvents[movies.form], JSON.stringify(source));
  }
  return refusals;
};

/**
 * A rating of the movie whose votes it belongs to, and the movie that it was given for, if that is another.
 */
interface KeptRating extends RatingCommand {
  readonly namedId?: string;
}

const toKept = <Rating extends RatingCommand>(
  rating: Rating,
  { keptIdOf }: RatedMovies,
): Rating & KeptRating => {
  const movieId = keptIdOf(rating.movieId);
  return movieId === rating.movieId ? rating : { ...rating, movieId, namedId: rating.movieId };
};

const viewerIdsOf = (commands: readonly RatingCommand[]): readonly string[] => [
  ...new Set(commands.map(({ viewerId }) => viewerId)),
];

const movieIdsOf = (commands: readonly RatingCommand[]): readonly string[] => [
  ...new Set(commands.map(({ movieId }) => movieId)),
];

const toSourceRow = (
  { movieId, viewerId, score, review, namedId }: KeptRating,
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
  ...(namedId !== undefined && { given_for: namedId }),
});

const orderColumns = (order: EventOrder): SourceRow =>
  'version' in order
    ? { rating_version: order.version }
    : {
        event_time: order.appendedAt.toISOString(),
        event_partition: order.partition,
        event_offset: String(order.offset),
      };

/**
 * A row that `mergeRatings` returns; `aggregate` is null if that of the movie did not change or does not
 * show.
 */
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
