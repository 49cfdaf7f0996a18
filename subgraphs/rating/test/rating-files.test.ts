import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { eventFile } from '../src/import/event-file.js';
import { put, ratingsIn, useImportWorld } from './import-world.js';

const root = new URL('../../../', import.meta.url);
const samples = new URL('examples/ratings/', root);

const importWorld = useImportWorld();

const importFile = (path: string) =>
  importInto(eventFile, importWorld().world.subgraph.pool, {
    args: [path],
    values: { scale: '5', 'id-prefix': 'vega:' },
    folder: importWorld().folder,
  });

const importText = async (content: string) => importFile(await put(importWorld(), 'ratings', content));

describe('the sample files of ratings', () => {
  it.each(['ratings.csv', 'events.json', 'events.jsonl'])(
    'examples/ratings/%s is imported without a refusal, and gives the same ratings as the others',
    async (name) => {
      expect(await importFile(fileURLToPath(new URL(name, samples)))).toMatchObject({ refused: [] });
      expect((await ratingsIn(importWorld())).filter((rating) => !rating.endsWith(' -'))).toEqual([
        'vega:1 ratings:ann 9',
        'vega:1 ratings:bob 6',
        'vega:2 ratings:ann 10',
        'vega:3 ratings:bob 5',
      ]);
    },
  );

  it('docs/rating-files.md names every sample, and shows its first lines as they are', async () => {
    const page = await readFile(new URL('docs/rating-files.md', root), 'utf8');
    for (const name of await readdir(samples)) {
      expect(page).toContain(`(../examples/ratings/${name})`);
      const [first, second] = (await readFile(new URL(name, samples), 'utf8')).split('\n');
      expect(page).toContain(`${first}\n${second}\n`);
    }
  });
});

describe('a file of plain ratings', () => {
  it('the columns of plain ratings may be in any order, and the latest timestamp wins', async () => {
    await importText(
      'timestamp,rating,title,movieId,userId\n' +
        '2026-01-02T00:00:00Z,4,x,1,7\n1700000000,1,x,1,7\n2026-01-01T23:59:59+00:00,2,x,1,7\n',
    );
    expect(await ratingsIn(importWorld())).toEqual(['vega:1 ratings:7 8']);
  });

  it('plain ratings need no timestamp, and then the later line wins', async () => {
    await importText('userId,movieId,rating\n7,1,4\n7,1,2.5\n');
    expect(await ratingsIn(importWorld())).toEqual(['vega:1 ratings:7 5']);
  });

  it('plain ratings may be JSON, in an array or in lines', async () => {
    await importText('[{"userId":7,"movieId":1,"rating":4}, {"userId":7,"movieId":"imdb:tt2","rating":1}]');
    await importText('{"userId":8,"movieId":1,"rating":0.5,"timestamp":1700000000}');
    expect(await ratingsIn(importWorld())).toEqual([
      ...['imdb:tt2 ratings:7 2', 'vega:1 ratings:7 8', 'vega:1 ratings:8 1'],
    ]);
  });

  it('a quoted cell may have line breaks, and the next record has its own line', async () => {
    const report = await importText(
      'userId,movieId,rating,comment\n7,1,4,"one\n\ntwo, ""2"""\n8,1,x,\n"9",1,"5","\n"\n',
    );
    expect(report).toMatchObject({ read: 3, refused: [{ record: 'line 5' }] });
    expect(await ratingsIn(importWorld())).toEqual(['vega:1 ratings:7 8', 'vega:1 ratings:9 10']);
  });

  it.each([
    ['7,1,4,yesterday', 'timestamp is neither seconds since 1970 nor RFC 3339 text with a time zone'],
    ['7,1,4,1700000000000', 'timestamp is neither seconds since 1970 nor RFC 3339 text with a time zone'],
    ['7,,4,', 'movieId is missing or not an id'],
    [',1,4,', 'userId is missing or not an id'],
    ['7,1,good,', 'the value is not a number'],
  ])('the plain rating %s is refused with a reason that names its column', async (line, reason) => {
    expect(await importText(`userId,movieId,rating,timestamp\n${line}\n`)).toMatchObject({
      refused: [{ record: 'line 2', reason }],
    });
  });

  it('a file without some columns is refused with all of them, and with the names that were meant', async () => {
    await expect(importText('user_id,MovieID,score\n1,1,1\n')).rejects.toThrow(
      'ratings has no columns "userId", "movieId", "rating". Its first line names: user_id, MovieID, score. Rename "user_id" to "userId", "MovieID" to "movieId".',
    );
    await expect(importText('user_id,recordid,value,type\n1,1,1,put\n')).rejects.toThrow(
      'ratings has no columns "record_id", "record_type", "event_type"',
    );
  });
});

describe('a JSON array', () => {
  it('a refused record of an array in one line is named by its number', async () => {
    const report = await importText('[{"userId":7,"movieId":1,"rating":4},7,{"userId":7}]');
    expect(report?.refused.map(({ record }) => record)).toEqual(['record 2, line 1', 'record 3, line 1']);
  });
});
