import type { RawTransaction } from '@cinegraph/database/transaction';
import { lockMovies, type LockedMovie } from './joined-movies.js';
import { keptIdOf } from './rules.js';
import { findJoined, findNewerStates, putKnownMovies } from './sql/known-movies.js';
import { createAggregates } from './sql/merge.js';
import { markJoined, setJoins } from './sql/moves.js';

/** The state of a movie in metadata. `version` is higher with each change of the movie. */
export interface KnownMovie {
  readonly movie: string;
  readonly version: number;
  readonly deleted: boolean;
  /** The movie that it is joined into; left out or null if it is not joined. */
  readonly joinedInto?: string | null | undefined;
}

/**
 * Stores states of movies in the open transaction, of each movie the newest. A state that is older than the
 * stored one has no effect. Ratings that came before their movie show from now on, and those of a movie that
 * is deleted no longer. Ratings of a movie that is joined into another one belong to that one from now on;
 * `createVoteMoving` moves those that are stored.
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
  const found = await tx.$queryRawUnsafe<readonly { movie: string; joined: boolean }[]>(
    findNewerStates,
    JSON.stringify([...newest.values()]),
  );
  if (found.length === 0) return;
  const states = found.flatMap(({ movie }) => newest.get(movie) ?? []);
  const changedIds = states.map(({ movie }) => movie);
  const joins = states.some(({ joinedInto }) => joinedInto != null) || found.some(({ joined }) => joined);
  const ids = joins ? await findConcerned(tx, states) : changedIds;
  await tx.$executeRawUnsafe(createAggregates, ids);
  const { rows } = await lockMovies(tx, ids);
  await tx.$executeRawUnsafe(putKnownMovies, JSON.stringify(states));
  if (joins) await applyJoins(tx, ids, rows);
};

/** The advisory lock under which joins change, one transaction after the other. The number has no meaning. */
const lockJoins = 'SELECT pg_advisory_xact_lock(4203006)';

interface Joined {
  readonly movie: string;
  readonly joinedInto: string | null;
  /** The movie that gets its votes at present. */
  readonly keptId: string | null;
}

/**
 * Returns the ids of all movies that are joined with one of these directly or by others, now or until now.
 */
const findConcerned = async (
  tx: RawTransaction,
  states: readonly KnownMovie[],
): Promise<readonly string[]> => {
  await tx.$queryRawUnsafe(lockJoins);
  const ids = new Set(
    states.flatMap(({ movie, joinedInto }) => [movie, ...(joinedInto == null ? [] : [joinedInto])]),
  );
  for (let size = 0; size < ids.size;) {
    size = ids.size;
    for (const { movie, joinedInto, keptId } of await readJoined(tx, [...ids])) {
      for (const id of [movie, joinedInto, keptId]) if (id !== null) ids.add(id);
    }
  }
  return [...ids];
};

const readJoined = (tx: RawTransaction, ids: readonly string[]) =>
  tx.$queryRawUnsafe<readonly Joined[]>(findJoined, ids);

/** Joins and parts the movies whose votes belong elsewhere than before. */
const applyJoins = async (
  tx: RawTransaction,
  ids: readonly string[],
  rows: ReadonlyMap<string, LockedMovie>,
): Promise<void> => {
  const joined = new Map((await readJoined(tx, ids)).map(({ movie, joinedInto }) => [movie, joinedInto]));
  const changes = ids.flatMap((movie) => {
    const keptId = keptIdOf(movie, joined);
    const into = keptId === movie ? null : keptId;
    return into === (rows.get(movie)?.joined_into ?? null) ? [] : [{ movie, into }];
  });
  if (changes.length === 0) return;
  await tx.$executeRawUnsafe(setJoins, JSON.stringify(changes));
  await tx.$executeRawUnsafe(markJoined, [...rows.keys()]);
};
