import { Refusal } from '@cinegraph/service/refusal';

/** A viewer rates a movie (`score` 1 to 10) or takes the rating back (`score` null). */
export interface RatingCommand {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
  readonly review: string | null;
}

/**
 * Where an outside event stands among those of its viewer and movie: by the version that its source gave the rating, or,
 * for sources that give none, by where and when the broker appended it.
 */
export type EventOrder =
  | { readonly version: number }
  | { readonly appendedAt: Date; readonly partition: number; readonly offset: bigint };

/** Whether `event` is later than `other`; sources of the two kinds never write ratings of the same viewer. */
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

/** What of the stored state decides about a rating. */
export interface MovieState {
  readonly deleted: boolean;
}

export const minScore = 1;
export const maxScore = 10;
const maxReviewLength = 10_000;
const maxMovieIdLength = 200;

/** Whether a value is a score: a whole number from 1 to 10. */
export const isScore = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= minScore && Number(value) <= maxScore;

/** The refusal for a value that is no score. */
export const scoreOutOfRange = (): Refusal =>
  new Refusal(
    'RATING_OUT_OF_RANGE',
    `A score is a whole number from ${minScore} to ${maxScore}. Send one of these.`,
  );

/**
 * What can be said of a rating before anything is read. Throws `BAD_USER_INPUT` for an unusable movie id,
 * `RATING_OUT_OF_RANGE` and `REVIEW_TOO_LONG`.
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
 * Whether a rating may be written, given the state of its movie: null, or the refusal `MOVIE_DELETED`.
 * Taking a rating back is always allowed.
 */
export const decideRating = (state: MovieState, { score }: RatingCommand): Refusal | null =>
  state.deleted && score !== null
    ? new Refusal('MOVIE_DELETED', 'The movie was deleted and takes no more ratings.')
    : null;
