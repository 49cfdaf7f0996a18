/*
 * Measures whether reads stay fast as tables grow: a movie's aggregated rating with 1,000,000 ratings
 * relative to one with 10, a page of 100 movies likewise, and search over 100,000 movies and 50,000 people.
 * Each service is a process on data of its own; contestants take turns request by request.
 *
 * npm run bench -- scale
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { migrateAll } from '@cinegraph/database/migrate';
import { testPool } from '@cinegraph/testing/database';
import * as metadata from '@cinegraph/metadata/migrations';
import * as rating from '@cinegraph/rating/migrations';
import { cleaningUp, endChild, writeSection } from './report.mjs';

const folder = await mkdtemp(join(tmpdir(), 'bench-scale-'));
const starting = startEmbeddedPostgres({ directory: join(folder, 'data') });
const children = [];
const rows = [];
const scores = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const cleanUp = cleaningUp(async () => {
  for (const child of children) await endChild(child);
  await (await starting).stop();
  await removeEmbeddedPostgres(join(folder, 'data'));
  await rm(folder, { recursive: true, force: true });
});
const server = await starting;
try {
  await measureRatings();
  await measureSearch();
  writeSection(
    'Reads as the tables grow',
    'npm run bench -- scale',
    `| what | p50 ms | p99 ms | ratio of p50 to the first |\n|---|---:|---:|---:|\n${rows.join('\n')}`,
  );
} finally {
  await cleanUp();
}

async function measureRatings() {
  const url = await server.ensureDatabase('rating');
  await migrateAll(url, rating.migrations);
  await fill(url, [
    // One movie has 10 ratings and one 1,000,000; pages have 100 movies with 10 and with 10,000 ratings each.
    ratingsOf('ten', 10),
    ratingsOf('million', 1_000_000),
    ...Array.from({ length: 100 }, (_, at) => ratingsOf(`small:${at}`, 10)),
    ...Array.from({ length: 100 }, (_, at) => ratingsOf(`large:${at}`, 10_000)),
    `INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, ${scores.map((s) => `s${s}`).join(', ')})
     SELECT movie_id, 'known', sum(score), count(*), ${scores.map((s) => `count(*) FILTER (WHERE score = ${s})`).join(', ')}
     FROM rating GROUP BY movie_id`,
    'VACUUM ANALYZE rating',
    'VACUUM ANALYZE aggregated_rating',
  ]);
  const ask = await startService('rating', url);
  const aggregated = (ids) => ({
    query:
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Movie { aggregatedRating { average count } } } }',
    variables: { r: ids.map((id) => ({ __typename: 'Movie', id })) },
  });
  const newest = (id) => ({
    query:
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Movie { ratings(first: 20) { nodes { score } } } } }',
    variables: { r: [{ __typename: 'Movie', id }] },
  });
  const pageOf = (kind) => Array.from({ length: 100 }, (_, at) => `${kind}:${at}`);
  await compare(ask, 2_000, [
    ['a movie with 10 ratings', () => aggregated(['ten'])],
    ['a movie with 1,000,000', () => aggregated(['million'])],
  ]);
  await compare(ask, 1_000, [
    ['100 movies with 10 ratings each', () => aggregated(pageOf('small'))],
    ['100 movies with 10,000 each', () => aggregated(pageOf('large'))],
  ]);
  await compare(ask, 1_000, [
    ['newest of 10', () => newest('ten')],
    ['newest 20 of 1,000,000', () => newest('million')],
  ]);
}

async function measureSearch() {
  const url = await server.ensureDatabase('metadata');
  await migrateAll(url, metadata.migrations);
  // Titles have as many words as in real catalogues, each of two to four syllables; people have two names.
  const word = (seed) => {
    const syllables = [
      'ba',
      'cor',
      'den',
      'fal',
      'gri',
      'hos',
      'jun',
      'kel',
      'lam',
      'mor',
      'nis',
      'por',
      'qua',
      'ral',
      'sto',
      'tur',
    ];
    let rest = (seed * 2_654_435_761) % 4_294_967_296;
    let text = '';
    for (let at = 0; at < 2 + (seed % 3); at += 1) {
      text += syllables[rest % 16];
      rest = Math.floor(rest / 16);
    }
    return text;
  };
  const words = Array.from({ length: 30_000 }, (_, at) => word(at));
  const pick = (seed) => words[Math.floor(words.length * ((seed * 0.6180339887) % 1) ** 2)];
  const titles = Array.from({ length: 100_000 }, (_, at) =>
    Array.from({ length: 1 + (at % 4) }, (_unused, place) => pick(at * 4 + place + 1)).join(' '),
  );
  const names = Array.from({ length: 50_000 }, (_, at) => `${pick(at * 2 + 7)} ${pick(at * 3 + 11)}`);
  const pool = testPool(url);
  const chunks = (all) =>
    Array.from({ length: all.length / 5_000 }, (_, at) => all.slice(at * 5_000, (at + 1) * 5_000));
  for (const [at, chunk] of chunks(titles).entries()) {
    await pool.query(
      `INSERT INTO movie (id, title, created_at, updated_at)
       SELECT 'movie:' || ($2 + n), title, now(), now() FROM unnest($1::text[]) WITH ORDINALITY AS t (title, n)`,
      [chunk, at * 5_000],
    );
  }
  for (const [at, chunk] of chunks(names).entries()) {
    await pool.query(
      `INSERT INTO person (id, name) SELECT 'person:' || ($2 + n), name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, n)`,
      [chunk, at * 5_000],
    );
  }
  await pool.query('VACUUM ANALYZE');
  await pool.end();
  const ask = await startService('metadata', url);
  const misspell = (text) =>
    text.length < 5 ? text : `${text.slice(0, 2)}${text[3]}${text[2]}${text.slice(4)}`;
  const search = (text) => ({
    query: 'query ($t: String!) { search(text: $t, first: 10) { hits { score node { __typename } } } }',
    variables: { t: text },
  });
  await compare(ask, 300, [
    ['search: a whole title', (at) => search(titles[at * 331])],
    ['search: the beginning of a word', (at) => search(titles[at * 331].split(' ')[0].slice(0, 4))],
    ['search: a misspelt title', (at) => search(titles[at * 331].split(' ').map(misspell).join(' '))],
    ['search: the middle of a word', (at) => search(titles[at * 331].split(' ')[0].slice(1, 6))],
    ['search: a name', (at) => search(names[at * 163])],
    ['search: what is not there', (at) => search(`xyzzy plugh ${at}`)],
  ]);
}

function ratingsOf(movie, count) {
  return `INSERT INTO rating (movie_id, viewer_id, score, origin, created_at, updated_at)
    SELECT '${movie}', 'viewer:' || n, 1 + (n * 7) % 10, 'bench', to_timestamp(n), to_timestamp(n) FROM generate_series(1, ${count}) n`;
}

async function fill(url, statements) {
  const pool = testPool(url);
  for (const statement of statements) await pool.query(statement);
  await pool.end();
}

async function startService(name, url) {
  const main = fileURLToPath(new URL(`../../subgraphs/${name}/dist/main.js`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      LOG_LEVEL: 'warn',
      [`DATABASE_URL_${name.toUpperCase()}`]: url,
      DATABASE_URL_EVENTS: await server.ensureDatabase('events'),
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  const address = await new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message.url));
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  return async (body) => {
    const response = await fetch(address.endsWith('/graphql') ? address : `${address}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
  };
}

/**
 * Lets contestants take turns request by request. Prints their latencies and the ratio to the first one's.
 */
async function compare(ask, requests, contestants) {
  const times = contestants.map(() => []);
  for (let at = 0; at < requests + 50; at += 1) {
    for (const [index, [, request]] of contestants.entries()) {
      const body = request(at % requests);
      const began = performance.now();
      await ask(body);
      // The first fifty only warm up.
      if (at >= 50) times[index].push(performance.now() - began);
    }
  }
  for (const each of times) each.sort((left, right) => left - right);
  const at = (each, share) => each[Math.min(each.length - 1, Math.floor(each.length * share))];
  for (const [index, [name]] of contestants.entries()) {
    const ratio = at(times[index], 0.5) / at(times[0], 0.5);
    const figures = [at(times[index], 0.5).toFixed(2), at(times[index], 0.99).toFixed(2), ratio.toFixed(2)];
    rows.push(`| ${name} | ${figures.join(' | ')} |`);
    process.stdout.write(`${rows.at(-1)}\n`);
  }
}
