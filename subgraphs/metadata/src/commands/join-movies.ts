import { StartError } from '@cinegraph/service/start-error';
import { codes } from '../codes.js';
import type { Prisma } from '../generated/prisma/client.js';
import { sourceIdOf } from '../rules.js';
import { appendMovieStates } from './movie-events.js';

/**
 * Takes the lock under which importers and joins take turns, until the transaction ends. The number is
 * arbitrary.
 */
export const lockImports = 'SELECT pg_advisory_xact_lock(4203001)';

/**
 * Joins the movie `other` into the movie `kept` in the open transaction, because the two are one film.
 * `other` is hidden, its id and its external ids lead to `kept` from now on, and so do the movies that were
 * joined into it. Its facts stay as they are for the case that the two are parted. Returns false if that was
 * done before. Throws a StartError with a stable code and the advice if a movie is unknown, deleted or
 * joined.
 */
export const joinMovies = async (
  tx: Prisma.TransactionClient,
  { kept: keptId, other: otherId }: { readonly kept: string; readonly other: string },
  now: Date,
): Promise<boolean> => {
  if (keptId === otherId) throw refused('SAME_MOVIE', `${keptId} is one movie. Name two.`);
  const movies = await lockMovies(tx, [keptId, otherId]);
  const kept = requireMovie(movies, keptId);
  const other = requireMovie(movies, otherId);
  if (other.joinedInto === keptId) return false;
  if (kept.joinedInto !== null) {
    const advice = `Join into that one instead, or part it first: npm run movies -- part ${keptId}`;
    throw refused('MOVIE_JOINED', `${keptId} is joined into ${kept.joinedInto}. ${advice}`);
  }
  if (other.joinedInto !== null) {
    const advice = `Part it first: npm run movies -- part ${otherId}`;
    throw refused('MOVIE_JOINED', `${otherId} is joined into ${other.joinedInto}. ${advice}`);
  }
  const joined = [...movies.values()].filter(
    ({ id, joinedInto }) => id === otherId || joinedInto === otherId,
  );
  await tx.movie.updateMany({
    where: { id: { in: joined.map(({ id }) => id) } },
    data: { joinedInto: keptId, deletedAt: now, updatedAt: now, version: { increment: 1 } },
  });
  await tx.$executeRaw`
    UPDATE external_id SET movie_id = ${keptId}, joined_from = coalesce(joined_from, movie_id)
    WHERE movie_id = ${otherId}`;
  await tx.externalId.createMany({
    data: sourceIdOf(otherId).map((name) => ({ ...name, movieId: keptId, joinedFrom: otherId })),
    skipDuplicates: true,
  });
  await publishChange(
    tx,
    keptId,
    joined.map(({ id }) => id),
    now,
  );
  return true;
};

/**
 * Parts a movie from the one that it is joined into, in the open transaction: it shows again, with the
 * external ids that it had. Returns the id of the movie that was kept. Throws a StartError with a stable
 * code if the movie is unknown or not joined.
 */
export const partMovie = async (tx: Prisma.TransactionClient, id: string, now: Date): Promise<string> => {
  const { joinedInto } = requireKnown(await lockMovies(tx, [id]), id);
  if (joinedInto === null) {
    throw refused('MOVIE_NOT_JOINED', `${id} is not joined into another movie. There is nothing to part.`);
  }
  await tx.movie.update({
    where: { id },
    data: { joinedInto: null, deletedAt: null, updatedAt: now, version: { increment: 1 } },
  });
  // The id of the movie itself is an external id only while it is joined.
  await tx.$executeRaw`DELETE FROM external_id WHERE joined_from = ${id} AND source || ':' || value = ${id}`;
  await tx.$executeRaw`UPDATE external_id SET movie_id = ${id}, joined_from = NULL WHERE joined_from = ${id}`;
  await publishChange(tx, joinedInto, [id], now);
  return joinedInto;
};

interface JoinableMovie {
  readonly id: string;
  readonly joinedInto: string | null;
  readonly deleted: boolean;
}

/**
 * Locks movies, what they are joined into, and what is joined into them. Importers and other joins take turns
 * with this transaction.
 */
const lockMovies = async (
  tx: Prisma.TransactionClient,
  ids: readonly string[],
): Promise<ReadonlyMap<string, JoinableMovie>> => {
  await tx.$executeRawUnsafe(lockImports);
  const rows = await tx.$queryRaw<JoinableMovie[]>`
    SELECT id, joined_into AS "joinedInto", deleted_at IS NOT NULL AS deleted FROM movie
    WHERE id = ANY (${ids}::text[]) OR joined_into = ANY (${ids}::text[])
      OR id = ANY (ARRAY(SELECT joined_into FROM movie WHERE id = ANY (${ids}::text[])))
    ORDER BY id COLLATE "C" FOR UPDATE`;
  return new Map(rows.map((row) => [row.id, row]));
};

const requireKnown = (movies: ReadonlyMap<string, JoinableMovie>, id: string): JoinableMovie => {
  const movie = movies.get(id);
  if (!movie) throw refused(codes.movieNotFound, `There is no movie ${id}. Check the id.`);
  return movie;
};

const requireMovie = (movies: ReadonlyMap<string, JoinableMovie>, id: string): JoinableMovie => {
  const movie = requireKnown(movies, id);
  if (movie.deleted && movie.joinedInto === null) {
    throw refused(codes.movieDeleted, `${id} was deleted. A deleted movie cannot be joined.`);
  }
  return movie;
};

/** Counts a change of the kept movie, whose external ids changed, and publishes the state of all movies. */
const publishChange = async (
  tx: Prisma.TransactionClient,
  keptId: string,
  others: readonly string[],
  now: Date,
): Promise<void> => {
  await tx.movie.update({ where: { id: keptId }, data: { updatedAt: now, version: { increment: 1 } } });
  await tx.$executeRawUnsafe(
    appendMovieStates('SELECT id, false AS added FROM unnest($1::text[]) AS changed (id)'),
    [keptId, ...others],
  );
};

const refused = (code: string, message: string): StartError => new StartError(`${code}: ${message}`);
