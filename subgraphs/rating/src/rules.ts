import { Refusal } from '@cinegraph/service/refusal';

/** A viewer rates a movie (`score` 1 to 10) or retracts the rating (`score` null). */
export interface RatingCommand {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
  readonly review: string | null;
}

/**
 * The position of an external event among the events of its movie and viewer: the version that its source
 * gave the rating, or for a source without versions the time, partition and offset at which the broker
 * appended it.
 */
export type EventOrder =
  | { readonly version: number }
  | { readonly appendedAt: Date; readonly partition: number; readonly offset: bigint };

/**
 * Returns whether `event` is later than `other`. Sources of the two kinds never write ratings of the same
 * viewer.
 */
export const isLater = (event: EventOrder, other: EventOrder): boolean => {
  if ('version' in event || 'version' in other) {
    return 'version' in event && (!('version' in other) || event.version > other.version);
  }
  return (
    (event.appendedAt.getTime() - other.appendedAt.getTime() ||
      event.partition - other.partition ||
      Number(event.offset - other.offset)) > 0
  );
};

/** The stored state of a movie that decides whether it can be rated. */
export interface MovieState {
  readonly deleted: boolean;
}

export const minScore = 1;
export const maxScore = 10;
const maxReviewLength = 10_000;
const maxMovieIdLength = 200;

/** Returns whether a value is a score: a whole number from 1 to 10. */
export const isScore = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= minScore && Number(value) <= maxScore;

/**
 * Returns the score for a value on a scale with this top: 10, or 5 with half steps. Returns the refusal
 * `RATING_OUT_OF_RANGE` if the value is not on the scale.
 */
export const scoreOf = (value: number, scale: 5 | 10): number | Refusal => {
  const score = scale === 5 ? value * 2 : value;
  if (isScore(score)) return score;
  return new Refusal(
    'RATING_OUT_OF_RANGE',
    scale === 5
      ? `${value} is not a half or whole number from 0.5 to 5`
      : `${value} is not a whole number from 1 to 10`,
  );
};

/** Returns the refusal for a value that is not a score. */
export const scoreOutOfRange = (): Refusal =>
  new Refusal(
    'RATING_OUT_OF_RANGE',
    `A score is a whole number from ${minScore} to ${maxScore}. Send one of these.`,
  );

/**
 * Checks a rating before anything is read. Throws the refusals `BAD_USER_INPUT` for a movie id that cannot be
 * used, `RATING_OUT_OF_RANGE` and `REVIEW_TOO_LONG`.
 */
export const checkRating = ({ movieId, score, review }: RatingCommand): void => {
  if (movieId.length === 0 || movieId.length > maxMovieIdLength) {
    throw new Refusal(
      'BAD_USER_INPUT',
      `The movie id has ${movieId.length} characters, but must have from 1 to ${maxMovieIdLength}.`,
    );
  }
  if (score !== null && !isScore(score)) throw scoreOutOfRange();
  if (review !== null && review.length > maxReviewLength) {
    throw new Refusal(
      'REVIEW_TOO_LONG',
      `The review has ${review.length} characters, but may have at most ${maxReviewLength}. Shorten it.`,
    );
  }
};

/**
 * Decides whether a rating may be written, from the state of its movie. Returns null, or the refusal
 * `MOVIE_DELETED`. A retraction is always allowed.
 */
export const decideRating = (state: MovieState, { score }: RatingCommand): Refusal | null =>
  state.deleted && score !== null
    ? new Refusal('MOVIE_DELETED', 'The movie was deleted and can no longer be rated.')
    : null;
