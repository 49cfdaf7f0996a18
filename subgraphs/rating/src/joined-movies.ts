import type { RawTransaction } from '@cinegraph/database/transaction';
import type { MovieState } from './rules.js';
import { lockAggregates, type MergeStatement } from './sql/merge.js';
import { findMoves, joinVotes, restoreVotes, returnVotes } from './sql/moves.js';

/** The row of a movie that a transaction has locked. */
export interface LockedMovie {
  readonly movie_id: string;
  readonly movie_state: MovieState | 'joined';
  /** The movie that gets its votes, if it is joined. */
  readonly joined_into: string | null;
  /** Whether it is joined, others are joined into it, or votes are being moved from or to it. */
  readonly joined: boolean;
}

/** Votes of a movie that may have to move between it and the counterpart. */
export interface VoteMove {
  readonly movieId: string;
  readonly counterpart: string;
  /** The movies to which votes for the two belong. */
  readonly keptId: string;
  readonly keptIdOfCounterpart: string;
  /** The movies that the move reads or writes. */
  readonly ids: readonly string[];
}

/** The movies of a batch of ratings, which the transaction has locked. */
export interface RatedMovies {
  /** The form of the merge that they need. */
  readonly form: keyof MergeStatement;
  /**
   * Returns the id of the movie whose votes a rating of this movie belongs to: that into which it is joined.
   */
  keptIdOf(movieId: string): string;
  /** Returns the state of that movie, or undefined if it has no aggregate. */
  stateOf(movieId: string): MovieState | undefined;
}

/**
 * Locks the aggregates of movies in the order of their ids, with those that they are joined into. While votes
 * are being moved, it first moves those of the viewers of the batch. After it, each vote of these viewers is
 * stored where it belongs, so that the merge need not know of joins.
 */
export const lockRatedMovies = async (
  tx: RawTransaction,
  movieIds: readonly string[],
  viewerIds: () => Promise<readonly string[]> | readonly string[],
): Promise<RatedMovies> => {
  const { rows, moves } = await lockMovies(tx, movieIds);
  if (moves.length > 0) {
    const viewers = await viewerIds();
    for (const move of moves) await moveVotesOf(tx, move, viewers);
  }
  const keptIdOf = (movieId: string) => rows.get(movieId)?.joined_into ?? movieId;
  return {
    form: [...rows.values()].some(({ joined }) => joined) ? 'joined' : 'plain',
    keptIdOf,
    stateOf: (movieId) => {
      const state = rows.get(keptIdOf(movieId))?.movie_state;
      // A movie that is joined into another one leads to a movie that is not joined.
      return state === 'joined' ? undefined : state;
    },
  };
};

/**
 * Locks the aggregates of movies and of all that their votes may move from or to, and returns the rows and
 * these moves.
 */
export const lockMovies = async (
  tx: RawTransaction,
  movieIds: readonly string[],
): Promise<{ readonly rows: ReadonlyMap<string, LockedMovie>; readonly moves: readonly VoteMove[] }> => {
  for (let ids = movieIds; ;) {
    const found = await tx.$queryRawUnsafe<readonly LockedMovie[]>(lockAggregates, ids);
    const rows = new Map(found.map((row) => [row.movie_id, row]));
    const moves = found.some(({ joined }) => joined)
      ? await tx.$queryRawUnsafe<readonly VoteMove[]>(findMoves, [...rows.keys()])
      : [];
    const missing = [
      ...found.map(({ joined_into }) => joined_into),
      ...moves.flatMap((move) => move.ids),
    ].filter((id): id is string => id !== null && !rows.has(id));
    // Usually none. Movies that were joined while this transaction waited for a lock are locked now.
    if (missing.length === 0) return { rows, moves };
    ids = [...rows.keys(), ...missing];
  }
};

/**
 * Moves votes to where they belong, in the open transaction, which has locked the movies: of these viewers,
 * or of all if it is null, at most `limit`. Returns true if none is left to move.
 */
export const moveVotesOf = async (
  tx: RawTransaction,
  { movieId, counterpart, keptId, keptIdOfCounterpart }: VoteMove,
  viewers: readonly string[] | null,
  limit: number | null = null,
): Promise<boolean> => {
  const run = (statement: string, ...parameters: readonly unknown[]) =>
    tx.$queryRawUnsafe<readonly { viewerId: string }[]>(statement, ...parameters);
  const isAll = ({ length }: { readonly length: number }) => limit === null || length < limit;
  if (keptId === counterpart) return isAll(await run(joinVotes, movieId, keptId, viewers, limit));
  const returned = await run(returnVotes, counterpart, keptId, viewers, limit, movieId);
  if (returned.length > 0) {
    // The votes that these superseded count again.
    const viewerIds = returned.map(({ viewerId }) => viewerId);
    await run(restoreVotes, null, keptIdOfCounterpart, viewerIds, null);
  }
  return isAll(returned) && isAll(await run(restoreVotes, movieId, keptId, viewers, limit));
};
