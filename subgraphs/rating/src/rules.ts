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

/**
 * Returns the movie to which the votes of a movie belong: the end of the chain of movies that are joined into
 * each other. Events of two movies may arrive in any order, so that for a moment a chain may lead back to its
 * beginning; then the movie keeps its votes.
 */
export const keptIdOf = (movieId: string, joinedInto: ReadonlyMap<string, string | null>): string => {
  const passed = new Set([movieId]);
  for (let id = movieId; ;) {
    const next = joinedInto.get(id) ?? null;
    if (next === null) return id;
    if (passed.has(next)) return movieId;
    passed.add(next);
    id = next;
  }
};

/**
 * Whether a viewer has an account: such viewers are named by a UUID, and all others by `<source>:<user>` or
 * in another way that is no UUID.
 */
export const isUserId = (viewerId: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(viewerId);

/** What metadata says of a movie, as far as rating has heard of it. */
export type MovieState = 'unknown' | 'known' | 'deleted';

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
 * Returns whether text can be the id of a movie: 1 to 200 characters, without control characters, invisible
 * ones and line breaks, and without a space at either end.
 */
export const isMovieId = (text: string): boolean =>
  text.length > 0 && text.length <= maxMovieIdLength && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|^\s|\s$/u.test(text);

/**
 * Checks a rating before anything is read. Throws the refusals `BAD_USER_INPUT` for an id that no movie can
 * have, `RATING_OUT_OF_RANGE` and `REVIEW_TOO_LONG`.
 */
export const checkRating = ({ movieId, score, review }: RatingCommand): void => {
  if (!isMovieId(movieId)) {
    throw new Refusal(
      'BAD_USER_INPUT',
      `No movie has this id. An id has from 1 to ${maxMovieIdLength} characters, none of them a control character, and no space at its ends.`,
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
 * Decides whether a viewer may rate a movie. Returns null, or the refusal `MOVIE_DELETED` or
 * `MOVIE_NOT_FOUND`. A retraction is always allowed.
 */
export const decideRating = (movie: MovieState, command: RatingCommand): Refusal | null => {
  if (movie === 'unknown' && command.score !== null) return movieNotFound(command);
  return decideEvent(movie, command);
};

/**
 * Decides whether the rating of an external event is stored. Returns null, or the refusal `MOVIE_DELETED`. A
 * rating of an unknown movie is stored, because events of movies and of ratings arrive in any order.
 */
export const decideEvent = (movie: MovieState, { score }: RatingCommand): Refusal | null =>
  movie === 'deleted' && score !== null
    ? new Refusal('MOVIE_DELETED', 'The movie was deleted and can no longer be rated.')
    : null;

/** The code of the refusal for an unknown movie. The movie may come later, so it is never a final answer. */
export const movieNotFoundCode = 'MOVIE_NOT_FOUND';

/** Returns the refusal for a movie that rating does not know. */
export const movieNotFound = ({ movieId }: Pick<RatingCommand, 'movieId'>): Refusal =>
  new Refusal(
    movieNotFoundCode,
    `There is no movie ${movieId}. Check the id. If the movie was created a moment ago, try again.`,
  );
