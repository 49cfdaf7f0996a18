import { inTransaction } from '@cinegraph/database/transaction';
import { writeKnownMovies, type KnownMovie } from '@cinegraph/rating/write-known-movies';

/** Makes movies known to rating, as metadata's events do, or stores another state of them. */
export const know = (
  pool: Parameters<typeof inTransaction>[0],
  movieIds: readonly string[],
  state: Omit<KnownMovie, 'movie'> = { version: 1, deleted: false },
): Promise<void> =>
  inTransaction(pool, (tx) =>
    writeKnownMovies(
      tx,
      movieIds.map((movie) => ({ movie, ...state })),
    ),
  );

/** Returns the ids of numbered movies: `<name>:0` and so on. */
export const numbered = (name: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `${name}:${at}`);
