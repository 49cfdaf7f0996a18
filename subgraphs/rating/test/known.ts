import { inTransaction } from '@cinegraph/database/transaction';
import type pg from 'pg';
import { writeKnownMovies } from '../src/write-known-movies.js';

/** Makes movies known, as their events do. */
export const know = (pool: pg.Pool, ...movieIds: readonly string[]): Promise<void> =>
  writeMovies(pool, movieIds, { version: 1, deleted: false });

/** Deletes movies, as their events do. */
export const remove = (pool: pg.Pool, ...movieIds: readonly string[]): Promise<void> =>
  writeMovies(pool, movieIds, { version: 2, deleted: true });

const writeMovies = (
  pool: pg.Pool,
  movieIds: readonly string[],
  state: { readonly version: number; readonly deleted: boolean },
) =>
  inTransaction(pool, (tx) =>
    writeKnownMovies(
      tx,
      movieIds.map((movie) => ({ movie, ...state })),
    ),
  );
