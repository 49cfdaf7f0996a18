import type { RawTransaction } from '@cinegraph/database/transaction';
import { findNewerStates, putKnownMovies } from './sql/known-movies.js';
import { createAggregates, lockAggregates } from './sql/merge.js';

/** The state of a movie in metadata. `version` is higher with each change of the movie. */
export interface KnownMovie {
  readonly movie: string;
  readonly version: number;
  readonly deleted: boolean;
}

/**
 * Stores states of movies in the open transaction, of each movie the newest. A state that is older than the
 * stored one has no effect. Ratings that came before their movie show from now on, and those of a movie that
 * is deleted no longer.
 *
 * The aggregate of each movie is created and locked first, as it is for a rating. A first rating and the
 * state of its movie therefore wait for each other, and neither misses the other.
 */
export const writeKnownMovies = async (tx: RawTransaction, movies: Iterable<KnownMovie>): Promise<void> => {
  const newest = new Map<string, KnownMovie>();
  for (const movie of movies) {
    const other = newest.get(movie.movie);
    if (!other || other.version < movie.version) newest.set(movie.movie, movie);
  }
  if (newest.size === 0) return;
  const rows = await tx.$queryRawUnsafe<readonly { movie: string }[]>(
    findNewerStates,
    JSON.stringify([...newest.values()]),
  );
  if (rows.length === 0) return;
  const ids = rows.map(({ movie }) => movie);
  await tx.$executeRawUnsafe(createAggregates, ids);
  await tx.$queryRawUnsafe(lockAggregates, ids);
  await tx.$executeRawUnsafe(putKnownMovies, JSON.stringify(ids.map((id) => newest.get(id))));
};
