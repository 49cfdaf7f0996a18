import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventFile } from '../src/import/event-file.js';
import { movieLensRatings } from '../src/import/movielens-ratings.js';
import { mergeChunkSize } from '../src/import/staging.js';
import { ratingWorld } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
let folder: string;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'import-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await world.subgraph.pool.query('TRUNCATE rating, aggregated_rating, known_movie');
});

const put = async (name: string, content: string | Buffer) => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

const importEvents = async (content: string | Buffer, values: Record<string, string> = { scale: '10' }) =>
  importInto(eventFile, world.subgraph.pool, { args: [await put('events', content)], values, folder });

const importRatings = async (lines: readonly string[]) => {
  await put('ratings.csv', lines.join('\r\n'));
  return importInto(movieLensRatings, world.subgraph.pool, { args: [folder], folder });
};

const header = 'userId,movieId,rating,timestamp';

/** movie, viewer and score of every rating. */
const ratings = async () => {
  const { rows } = await world.subgraph.pool.query<{ text: string }>(
    `SELECT movie_id || ' ' || viewer_id || ' ' || coalesce(score::text, '-') AS text FROM rating ORDER BY 1`,
  );
  return rows.map(({ text }) => text);
};

/** Every row of the tables and where it lies: a row that was written again, even as it was, differs. */
const contents = async () => {
  const hash = createHash('sha256');
  for (const table of ['rating', 'aggregated_rating', 'known_movie', 'staged_rating', 'import_run']) {
    const { rows } = await world.subgraph.pool.query<{ text: string }>(
      `SELECT t.ctid::text || t::text AS text FROM ${table} t ORDER BY t.ctid`,
    );
    hash.update(`${table} ${rows.map(({ text }) => text).join('\n')}`);
  }
  return hash.digest('hex');
};

const event = (fields: Record<string, unknown>) => ({
  userId: 105,
  recordId: '1',
  recordType: 'movie',
  value: 5,
  providerId: 'test-provider',
  eventType: 'put',
  ...fields,
});

describe('a file of rating events', () => {
  const camel = [
    event({}),
    event({ recordId: '2', value: 4 }),
    event({ recordId: '1', eventType: 'delete' }),
  ];
  const snake = [
    { record_id: '1', record_type: 'movie', user_id: '105', value: 5, event_type: 'submit' },
    { record_id: '2', record_type: 'movie', user_id: '105', value: 4, event_type: 'submit' },
    { record_id: '1', record_type: 'movie', user_id: '105', event_type: 'delete' },
  ];
  const csv = [
    'providerId,recordId,userId,value,recordType,eventType',
    ...['p,1,105,5,movie,put', '"p, q",2,105,4,movie,put', 'p,1,105,,movie,delete'],
  ];
  const asCsv = csv.join('\n');

  it.each([
    ['a JSON array', JSON.stringify(camel, null, 2)],
    ['a JSON array of the other dialect', JSON.stringify(snake)],
    ['JSON lines', camel.map((one) => JSON.stringify(one)).join('\n')],
    ['JSON lines of the other dialect', snake.map((one) => JSON.stringify(one)).join('\r\n')],
    ['CSV', asCsv],
    [
      'CSV of the other dialect',
      asCsv
        .replace('recordId,userId', 'record_id,user_id')
        .replace('recordType,eventType', 'record_type,event_type')
        .replaceAll(',put', ',submit'),
    ],
    ['an archive', gzipSync(asCsv)],
  ])('may be %s, and the later line wins', async (_name, content) => {
    const report = await importEvents(content, { scale: '10', 'id-prefix': 'vega:' });
    expect(report).toMatchObject({ read: 3, written: 1, unchanged: 2, refusedCount: 0 });
    expect(await ratings()).toEqual(['vega:2 ratings:105 4']);
    expect(await world.aggregateOf('vega:2')).toMatchObject({ average: 4, count: 1 });
    const before = await contents();
    expect(await importEvents(content, { scale: '10', 'id-prefix': 'vega:' })).toMatchObject({
      ...{ read: 3, written: 0, unchanged: 3 },
    });
    expect(await contents()).toBe(before);
  });

  it('takes back what an earlier file gave, and counts by difference', async () => {
    await importEvents(JSON.stringify([event({}), event({ userId: 'b', value: 9 })]));
    expect(await importEvents(JSON.stringify([event({ eventType: 'delete' })]))).toMatchObject({
      written: 1,
    });
    expect(await ratings()).toEqual(['1 ratings:105 -', '1 ratings:b 9']);
    expect(await world.aggregateOf('1')).toMatchObject({ average: 9, count: 1 });
    expect(await world.drift()).toEqual([]);
  });

  it('has its values doubled where its top score is five', async () => {
    await importEvents(JSON.stringify([event({ value: 3.5 }), event({ userId: 7, value: 0.5 })]), {
      scale: '5',
    });
    expect(await ratings()).toEqual(['1 ratings:105 7', '1 ratings:7 1']);
  });

  it('may hold ids of ours beside bare ones', async () => {
    await importEvents(JSON.stringify([event({ recordId: 'imdb:tt1' })]), {
      scale: '10',
      'id-prefix': 'vega:',
    });
    expect(await ratings()).toEqual(['imdb:tt1 ratings:105 5']);
  });

  it('refuses each bad record with its line and a reason, in a file, and takes the others', async () => {
    const bad: [unknown, RegExp][] = [
      [event({ value: '5' }), /the value is not a number/],
      [event({ value: 11 }), /RATING_OUT_OF_RANGE: 11/],
      [event({ value: 0 }), /RATING_OUT_OF_RANGE: 0/],
      [event({ value: 2.5 }), /RATING_OUT_OF_RANGE: 2.5/],
      [event({ recordType: 'series' }), /UNSUPPORTED_RECORD_TYPE/],
      [event({ eventType: 'submit' }), /eventType must be "put" or "delete"/],
      [event({ userId: null }), /userId is missing/],
      [event({ userId: 'a\u0000b' }), /userId is missing or not an id/],
      [event({ recordId: '' }), /recordId is missing/],
      [event({ userId: ' 105' }), /userId is missing or not an id/],
      [[1], /it is not an event/],
      ['cut', /it is not an event/],
    ];
    const lines = [...bad.map(([one]) => JSON.stringify(one)), '{"userId": 1', JSON.stringify(event({}))];
    // JSON lines are told from an array by their first character.
    const report = await importEvents([JSON.stringify(event({ userId: 1 })), ...lines].join('\n'));
    expect(report).toMatchObject({ read: 15, written: 2, refusedCount: 13 });
    bad.forEach(([, reason], at) =>
      expect(report?.refused[at]).toEqual({
        record: `line ${at + 2}`,
        reason: expect.stringMatching(reason),
      }),
    );
    expect(report?.refused[12]).toEqual({ record: 'line 14', reason: 'it is not JSON' });
    const rejects = join(folder, 'ratings-rating-rejects.jsonl');
    expect(report?.notes).toContain(`the refused are listed in ${rejects}`);
    const listed = (await readFile(rejects, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(listed).toHaveLength(13);
    expect(listed[12]).toEqual({ record: 'line 14', reason: 'it is not JSON', text: '{"userId": 1' });
  });

  it.each([
    ['without a scale', asCsv, {}, /--scale 5 or --scale 10/],
    ['with a guessed scale', asCsv, { scale: '100' }, /--scale 5 or --scale 10/],
    [
      'without a column',
      'userId,recordId,recordType,eventType\n1,1,movie,put\n',
      { scale: '5' },
      /no column "value"/,
    ],
    ['that is empty', '', { scale: '5' }, /is empty/],
    ['of spaces', ' \n\n ', { scale: '5' }, /is empty/],
    ['cut within an array', JSON.stringify(camel).slice(0, -5), { scale: '5' }, /was cut off/],
    ['cut within an archive', gzipSync(asCsv).subarray(0, 60), { scale: '5' }, /damaged or cut off/],
    [
      'that inflates without end',
      gzipSync(Buffer.alloc(100 * 2 ** 20, 'x')),
      { scale: '5' },
      /inflates to more/,
    ],
  ] as [string, string | Buffer, Record<string, string>, RegExp][])(
    'is refused as a whole %s, and nothing is written',
    async (_name, content, values, reason) => {
      await expect(importEvents(content, values)).rejects.toThrow(reason);
      expect(await ratings()).toEqual([]);
    },
  );

  it('is refused where the path is a folder or missing', async () => {
    const importPath = (args: string[]) =>
      importInto(eventFile, world.subgraph.pool, { args, values: { scale: '5' }, folder });
    await expect(importPath([folder])).rejects.toThrow(/is a folder/);
    await expect(importPath([join(folder, 'none')])).rejects.toThrow(/no such file/);
    await expect(importPath([])).rejects.toThrow(/Usage/);
  });

  it('may hold a line of 100 MB, which is refused in little memory', async () => {
    const path = join(folder, 'long');
    const file = await open(path, 'w');
    await file.write(`${JSON.stringify(event({}))}\n`);
    const part = Buffer.alloc(2 ** 20, 'x');
    for (let at = 0; at < 100; at += 1) await file.write(part);
    await file.write(`\n${JSON.stringify(event({ userId: 2 }))}\n`);
    await file.close();
    const before = process.memoryUsage().rss;
    const report = await importInto(eventFile, world.subgraph.pool, {
      ...{ args: [path], values: { scale: '10' }, folder },
    });
    expect(report).toMatchObject({
      ...{ read: 3, written: 2, refusedCount: 1 },
      refused: [{ record: 'line 2', reason: 'the line has 104857600 bytes, more than 1048576' }],
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(90 * 2 ** 20);
  });
});

describe('the ratings of MovieLens', () => {
  it('are scores of twice the stars, dated as they were given; the latest of a viewer counts, in any order', async () => {
    const lines = ['7,1,3.5,851866703', '7,1,2,851866702', '9,1,5,938629179', '9,2,0.5,938629180'];
    expect(await importRatings([header, ...lines])).toMatchObject({ read: 4, written: 3, unchanged: 1 });
    expect(await ratings()).toEqual([
      'movielens:1 movielens:7 7',
      'movielens:1 movielens:9 10',
      'movielens:2 movielens:9 1',
    ]);
    const { rows } = await world.subgraph.pool.query(
      `SELECT created_at, event_time, origin FROM rating WHERE viewer_id = 'movielens:7'`,
    );
    const given = new Date(851866703_000);
    expect(rows).toEqual([{ created_at: given, event_time: given, origin: 'import' }]);
    const before = await contents();
    expect(await importRatings([header, ...lines.toReversed()])).toMatchObject({ written: 0, unchanged: 4 });
    expect(await contents()).toBe(before);
  });

  it('of an older file do not replace those of a newer one', async () => {
    await importRatings([header, '7,1,5,2000']);
    expect(await importRatings([header, '7,1,1,1000'])).toMatchObject({ written: 0 });
    expect(await importRatings([header, '7,1,2,3000'])).toMatchObject({ written: 1 });
    expect(await ratings()).toEqual(['movielens:1 movielens:7 4']);
  });

  it('of one movie are merged in several transactions where a voter would wait for one too long', async () => {
    const lines = [
      '1,1,3,1',
      ...Array.from({ length: 2.5 * mergeChunkSize }, (_, at) => `${at + 1},2,${1 + (at % 5)},${at + 1}`),
      ...['1,3,3,1', '2,3,4,1'],
    ];
    const { pool } = world.subgraph;
    // Killed in the middle of the movie: what was merged of it stays.
    await pool.query(`
      CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$;
      CREATE TRIGGER cut BEFORE UPDATE ON import_run FOR EACH ROW
        WHEN (new.merged > ${2 * mergeChunkSize}) EXECUTE FUNCTION cut()`);
    await expect(importRatings([header, ...lines])).rejects.toThrow('cut');
    expect((await world.aggregateOf('movielens:2')).count).toBe(mergeChunkSize + 1);
    await pool.query('DROP FUNCTION cut CASCADE');

    const all = lines.length;
    expect(await importInto(movieLensRatings, pool, { args: [folder], folder })).toMatchObject({
      ...{ read: all, written: all, unchanged: 0 },
      notes: expect.arrayContaining(['an earlier run had read the source; what it left was finished']),
    });
    const { rows } = await pool.query(
      `SELECT movie_id AS movie, version::int, count::int FROM aggregated_rating ORDER BY 1`,
    );
    expect(rows).toEqual([
      { movie: 'movielens:1', version: 1, count: 1 },
      { movie: 'movielens:2', version: 3, count: 2.5 * mergeChunkSize },
      { movie: 'movielens:3', version: 1, count: 2 },
    ]);
    expect(await world.drift()).toEqual([]);
    const before = await contents();
    expect(await importRatings([header, ...lines])).toMatchObject({ written: 0, unchanged: all });
    expect(await contents()).toBe(before);
  });

  it('are kept and reported where metadata knows no such movie, and go to the movie that metadata names', async () => {
    await put(
      'handover.jsonl',
      [
        { movie: 'movielens:1', version: 1, deleted: false },
        { movie: 'imdb:tt0113497', version: 3, deleted: false },
        { alias: 'movielens:2', movie: 'imdb:tt0113497' },
      ]
        .map((entry) => JSON.stringify(entry))
        .join('\n'),
    );
    const report = await importRatings([header, '7,1,3,1', '7,2,3,1', '7,3,3,1', '8,3,4,1']);
    expect(report).toMatchObject({
      ...{ read: 4, written: 4, refusedCount: 0 },
      notes: ['2 ratings of 1 movies that metadata does not know are kept'],
    });
    expect(await ratings()).toEqual([
      'imdb:tt0113497 movielens:7 6',
      'movielens:1 movielens:7 6',
      'movielens:3 movielens:7 6',
      'movielens:3 movielens:8 8',
    ]);
    const { rows } = await world.subgraph.pool.query('SELECT id FROM known_movie ORDER BY id');
    expect(rows).toEqual([{ id: 'imdb:tt0113497' }, { id: 'movielens:1' }]);
  });

  it('are refused with line and reason where they are not what they should be', async () => {
    const report = await importRatings([
      header,
      ...['x,1,3,1', '1,x,3,1', '1,1,x,1', '1,1,5.5,1', '1,1,3.2,1', '1,1,3,x', '1,1,3', '1,"1,3,1'],
      '1,1,3,1',
    ]);
    expect(report).toMatchObject({ read: 9, written: 1, refusedCount: 8 });
    expect(report?.refused.map(({ record, reason }) => `${record}: ${reason}`)).toEqual([
      'line 2: userId is not a number',
      'line 3: movieId is not a number',
      'line 4: the value is not a number',
      'line 5: RATING_OUT_OF_RANGE: 5.5 is not a half or whole number from 0.5 to 5',
      'line 6: RATING_OUT_OF_RANGE: 3.2 is not a half or whole number from 0.5 to 5',
      'line 7: timestamp is not a number of seconds',
      'line 8: it has 3 columns instead of 4',
      'line 9: its quotes are not in pairs',
    ]);
  });
});
