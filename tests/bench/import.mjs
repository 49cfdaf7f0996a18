/*
 * Measures how fast and with how much memory a file of ratings is imported, relative to a raw COPY of the
 * same rows into a table of the same shape in the same run.
 *
 * npm run bench -- import [ratings, by default 1000000]
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyRows } from '@cinegraph/subgraph/import/copy';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { migrate } from '@cinegraph/database/migrate';
import { migrations } from '@cinegraph/rating/migrations';
import { testPool } from '@cinegraph/testing/database';
import { cleaningUp, writeSection } from './report.mjs';

const count = Number(process.argv[2] ?? 1_000_000);
const folder = await mkdtemp(join(tmpdir(), 'bench-import-'));
const starting = startEmbeddedPostgres({ directory: join(folder, 'data') });
const cleanUp = cleaningUp(async () => {
  await (await starting).stop();
  await removeEmbeddedPostgres(join(folder, 'data'));
  await rm(folder, { recursive: true, force: true });
});
const server = await starting;
try {
  const url = await server.ensureDatabase('rating');
  await migrate({ url, migrations });
  const pool = testPool(url);

  // 5,000 movies, a few of them in most people's lists; each viewer rates a movie once.
  const file = createWriteStream(join(folder, 'ratings.csv'));
  file.write('userId,movieId,rating,timestamp\n');
  const ratings = [];
  for (let at = 0; at < count; at += 1) {
    const movie = Math.floor(5_000 * ((at * 0.6180339887) % 1) ** 2);
    ratings.push([movie, at, 1 + ((at * 7) % 10), 1_000_000_000 + at]);
    if (!file.write(`${at},${movie},${(1 + ((at * 7) % 10)) / 2},${1_000_000_000 + at}\n`))
      await new Promise((resolve) => file.once('drain', resolve));
  }
  await new Promise((resolve) => file.end(resolve));

  const client = await pool.connect();
  const copy = async (table, like) => {
    await client.query(`CREATE TABLE ${table} (LIKE rating INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
    await client.query(like);
    await client.query('CHECKPOINT').catch(() => undefined);
    const begun = performance.now();
    await client.query('BEGIN');
    const columns = ['movie_id', 'viewer_id', 'score', 'origin', 'event_time', 'created_at', 'updated_at'];
    for (let at = 0; at < ratings.length; at += 10_000) {
      const rows = ratings.slice(at, at + 10_000).map(([movie, viewer, score, second]) => {
        const time = new Date(second * 1000).toISOString();
        return [`movielens:${movie}`, `movielens:${viewer}`, score, 'import', time, time, time];
      });
      await copyRows(client, table, columns, rows);
    }
    await client.query('COMMIT');
    const seconds = (performance.now() - begun) / 1000;
    await client.query(`DROP TABLE ${table}`);
    return seconds;
  };
  const keyed = await copy('raw_keyed', 'ALTER TABLE raw_keyed ADD PRIMARY KEY (movie_id, viewer_id)');
  const indexed = await copy(
    'raw_indexed',
    `ALTER TABLE raw_indexed ADD PRIMARY KEY (movie_id, viewer_id);
     CREATE INDEX ON raw_indexed (movie_id, created_at DESC, viewer_id) WHERE score IS NOT NULL;
     CREATE INDEX ON raw_indexed (viewer_id, created_at DESC, movie_id) WHERE score IS NOT NULL`,
  );
  client.release();
  ratings.length = 0;

  const script = fileURLToPath(new URL('../../subgraphs/rating/dist/import/movielens.js', import.meta.url));
  const importOnce = () =>
    new Promise((resolve) => {
      const begun = performance.now();
      const child = spawn(process.execPath, [script, folder], {
        env: { PATH: process.env.PATH, DATABASE_URL_RATING: url },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      let peak = 0;
      let staged;
      const look = setInterval(async () => {
        const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
        peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
        const { rowCount } = await pool.query('SELECT FROM import_run').catch(() => ({ rowCount: 0 }));
        if (rowCount === 1) staged ??= (performance.now() - begun) / 1000;
      }, 100);
      child.once('close', () => {
        clearInterval(look);
        resolve({ seconds: (performance.now() - begun) / 1000, peak, staged });
      });
    });
  const first = await importOnce();
  const second = await importOnce();
  const rate = (seconds) => `${Math.round(count / seconds)}/s`;
  const lines = [
    `raw COPY, primary key only: ${rate(keyed)} · with the three indexes of rating: ${rate(indexed)}`,
    `import: ${rate(first.seconds)} (staged after ${first.staged?.toFixed(1)} of ${first.seconds.toFixed(1)} s), peak ${Math.round(first.peak)} MiB`,
    `ratio to raw COPY: ${(keyed / first.seconds).toFixed(2)} keyed, ${(indexed / first.seconds).toFixed(2)} with the same indexes`,
    `the same again, nothing to write: ${rate(second.seconds)}, peak ${Math.round(second.peak)} MiB`,
  ];
  writeSection(
    `A file of ${count.toLocaleString('en-US')} ratings`,
    'npm run bench -- import',
    lines.map((line) => `- ${line}`).join('\n'),
  );
  await pool.end();
} finally {
  await cleanUp();
}
