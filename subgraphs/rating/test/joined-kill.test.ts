import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inTransaction } from '@cinegraph/database/transaction';
import { describe, expect, it } from '@jest/globals';
import { findDrift } from '../src/command-line/rebuild.js';
import { writeKnownMovies } from '../src/write-known-movies.js';
import { applyEvents } from '../src/write-ratings.js';
import { useRatingDatabase } from './rating-database.js';

const database = useRatingDatabase();

const script = fileURLToPath(new URL('move-process.mjs', import.meta.url));

/**
 * Runs the process that moves votes, kills it after `ms` milliseconds, and returns whether it had finished.
 */
const moveFor = async (ms: number): Promise<boolean> => {
  const child = spawn(process.execPath, [script, database.url, '100'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout, 'data'), exited]);
  await Promise.race([delay(ms, undefined, { ref: false }), exited]);
  child.kill('SIGKILL');
  const [code] = (await exited) as [number | null];
  return code === 0;
};

/** Writes votes of the viewers from `first` on, at the given second. */
const vote = (movieId: string, { first, count, second }: { first: number; count: number; second: number }) =>
  inTransaction(database.pool, (tx) =>
    applyEvents(
      tx,
      Array.from({ length: count }, (_, n) => ({
        ...{
          movieId,
          viewerId: `ratings:${first + n}`,
          score: ((first + n + second) % 10) + 1,
          review: null,
        },
        order: { appendedAt: new Date(second * 1000), partition: 0, offset: BigInt(n) },
        ...{ provider: null, trace: null },
      })),
      new Date(),
    ),
  );

const tell = (movie: string, version: number, joinedInto: string | null) =>
  inTransaction(database.pool, (tx) =>
    writeKnownMovies(tx, [{ movie, version, deleted: false, joinedInto }]),
  );

const votes = async () =>
  (
    await database.pool.query<{ line: string }>(
      `SELECT concat_ws(' ', movie_id, count(*), sum(score)) AS line FROM rating GROUP BY movie_id ORDER BY 1`,
    )
  ).rows.map(({ line }) => line);

describe('the moving of votes, killed again and again', () => {
  it('loses and doubles no vote while others vote, and a parting gives all back', async () => {
    await tell('kept', 1, null);
    await tell('other', 1, null);
    await vote('other', { first: 0, count: 1500, second: 1 });
    // Four hundred viewers rated both, half of them the kept one later.
    await vote('kept', { first: 1100, count: 200, second: 0 });
    await vote('kept', { first: 1300, count: 200, second: 2 });
    const before = await votes();
    await tell('other', 2, 'kept');
    let runs = 0;
    for (let done = false; !done; runs += 1) {
      done = await moveFor(20 + runs * 250);
      expect(await findDrift(database.prisma)).toEqual([]);
      // Late votes, of viewers whose votes are moved and not moved yet; they are the same ones again.
      await vote('other', { first: (runs * 100) % 1400, count: 50, second: 1 });
    }
    expect(runs).toBeGreaterThan(1);
    expect((await database.pool.query('SELECT FROM rating WHERE movie_id = $1', ['other'])).rowCount).toBe(0);
    expect((await database.pool.query('SELECT FROM rating WHERE movie_id = $1', ['kept'])).rowCount).toBe(
      1500,
    );
    await tell('other', 3, null);
    for (let done = false, ms = 20; !done; ms += 300) {
      done = await moveFor(ms);
      expect(await findDrift(database.prisma)).toEqual([]);
    }
    expect(await votes()).toEqual(before);
    expect(await findDrift(database.prisma)).toEqual([]);
  }, 180_000);
});
