import type pg from 'pg';
import { readFilms } from './adopt.js';
import { mayBeOne, type Film } from './matching.js';

/** Two films of the tables that may be one; `kept` was added first. */
export interface FilmTwice {
  readonly kept: Film;
  readonly other: Film;
}

/**
 * Returns the pairs of films in the tables that may be one film, sorted by title. It holds all films in
 * memory.
 */
export const findTwice = async (pool: pg.Pool): Promise<readonly FilmTwice[]> => {
  const pairs = new Map<string, readonly [Film, Film]>();
  for (const films of (await readFilms(pool)).values()) {
    films.forEach((one, at) => {
      for (const other of films.slice(at + 1)) {
        if (mayBeOne(one, other)) pairs.set(JSON.stringify([one.id, other.id].sort()), [one, other]);
      }
    });
  }
  const { rows } = await pool.query<{ id: string }>(
    'SELECT id FROM movie WHERE id = ANY ($1::text[]) ORDER BY created_at, id COLLATE "C"',
    [[...new Set([...pairs.values()].flatMap((pair) => pair.map(({ id }) => id)))]],
  );
  const ages = new Map(rows.map(({ id }, age) => [id, age]));
  const ageOf = ({ id }: Film) => ages.get(id) ?? rows.length;
  return [...pairs.values()]
    .map(([one, other]) => (ageOf(one) <= ageOf(other) ? { kept: one, other } : { kept: other, other: one }))
    .toSorted((left, right) => (left.kept.title < right.kept.title ? -1 : 1));
};
