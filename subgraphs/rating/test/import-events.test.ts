import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { describe, expect, it } from '@jest/globals';
import { eventFile } from '../src/import/event-file.js';
import { contentsOf, put, ratingsIn, useImportWorld } from './import-world.js';

const importWorld = useImportWorld();

const importEvents = async (content: string | Buffer, values: Record<string, string> = { scale: '10' }) => {
  const { world, folder } = importWorld();
  const path = await put(importWorld(), 'events', content);
  return importInto(eventFile, world.subgraph.pool, { args: [path], values, folder });
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
  ])('a file of rating events may be %s, and the later line wins', async (_name, content) => {
    await importWorld().world.know('vega:2');
    const report = await importEvents(content, { scale: '10', 'id-prefix': 'vega:' });
    expect(report).toMatchObject({ read: 3, written: 1, unchanged: 2, refusedCount: 0 });
    expect(await ratingsIn(importWorld())).toEqual(['vega:2 ratings:105 4']);
    expect(await importWorld().world.aggregateOf('vega:2')).toMatchObject({ average: 4, count: 1 });
    const before = await contentsOf(importWorld());
    expect(await importEvents(content, { scale: '10', 'id-prefix': 'vega:' })).toMatchObject({
      ...{ read: 3, written: 0, unchanged: 3 },
    });
    expect(await contentsOf(importWorld())).toBe(before);
  });

  it('a file of rating events retracts a rating of an earlier file, and counts the difference', async () => {
    await importWorld().world.know('1');
    await importEvents(JSON.stringify([event({}), event({ userId: 'b', value: 9 })]));
    expect(await importEvents(JSON.stringify([event({ eventType: 'delete' })]))).toMatchObject({
      written: 1,
    });
    expect(await ratingsIn(importWorld())).toEqual(['1 ratings:105 -', '1 ratings:b 9']);
    expect(await importWorld().world.aggregateOf('1')).toMatchObject({ average: 9, count: 1 });
    expect(await importWorld().world.drift()).toEqual([]);
  });

  it('a file of rating events has its values doubled if its highest score is five', async () => {
    await importEvents(JSON.stringify([event({ value: 3.5 }), event({ userId: 7, value: 0.5 })]), {
      scale: '5',
    });
    expect(await ratingsIn(importWorld())).toEqual(['1 ratings:105 7', '1 ratings:7 1']);
  });

  it('a file of rating events may have ids with and without a prefix', async () => {
    await importEvents(JSON.stringify([event({ recordId: 'imdb:tt1' })]), {
      scale: '10',
      'id-prefix': 'vega:',
    });
    expect(await ratingsIn(importWorld())).toEqual(['imdb:tt1 ratings:105 5']);
  });

  it('an import lists each bad record with its line and reason in a file, and writes the others', async () => {
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
    // The first character distinguishes JSON lines from an array.
    const report = await importEvents([JSON.stringify(event({ userId: 1 })), ...lines].join('\n'));
    expect(report).toMatchObject({ read: 15, written: 2, refusedCount: 13 });
    bad.forEach(([, reason], at) =>
      expect(report?.refused[at]).toEqual({
        record: `line ${at + 2}`,
        reason: expect.stringMatching(reason),
      }),
    );
    expect(report?.refused[12]).toEqual({ record: 'line 14', reason: 'it is not JSON' });
    const rejects = join(importWorld().folder, 'ratings-rating-rejects.jsonl');
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
    ['if it is empty', '', { scale: '5' }, /is empty/],
    ['if it has only spaces', ' \n\n ', { scale: '5' }, /is empty/],
    ['if it is cut within an array', JSON.stringify(camel).slice(0, -5), { scale: '5' }, /was cut off/],
    ['if it is a cut archive', gzipSync(asCsv).subarray(0, 60), { scale: '5' }, /damaged or cut off/],
    [
      'if it inflates without end',
      gzipSync(Buffer.alloc(100 * 2 ** 20, 'x')),
      { scale: '5' },
      /inflates to more/,
    ],
  ] as [string, string | Buffer, Record<string, string>, RegExp][])(
    'a file of rating events is refused as a whole %s, and nothing is written',
    async (_name, content, values, reason) => {
      await expect(importEvents(content, values)).rejects.toThrow(reason);
      expect(await ratingsIn(importWorld())).toEqual([]);
    },
  );

  it('an import is refused if the path is a folder or missing', async () => {
    const importPath = (args: string[]) =>
      importInto(eventFile, importWorld().world.subgraph.pool, {
        args,
        values: { scale: '5' },
        folder: importWorld().folder,
      });
    await expect(importPath([importWorld().folder])).rejects.toThrow(/is a folder/);
    await expect(importPath([join(importWorld().folder, 'none')])).rejects.toThrow(/no such file/);
    await expect(importPath([])).rejects.toThrow(/Usage/);
  });

  it('a line of 100 MB is refused without using that much memory', async () => {
    const path = join(importWorld().folder, 'long');
    const file = await open(path, 'w');
    await file.write(`${JSON.stringify(event({}))}\n`);
    const part = Buffer.alloc(2 ** 20, 'x');
    for (let at = 0; at < 100; at += 1) await file.write(part);
    await file.write(`\n${JSON.stringify(event({ userId: 2 }))}\n`);
    await file.close();
    const before = process.memoryUsage().rss;
    const report = await importInto(eventFile, importWorld().world.subgraph.pool, {
      ...{ args: [path], values: { scale: '10' }, folder: importWorld().folder },
    });
    expect(report).toMatchObject({
      ...{ read: 3, written: 2, refusedCount: 1 },
      refused: [{ record: 'line 2', reason: 'the line has 104857600 bytes, more than 1048576' }],
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(90 * 2 ** 20);
  });
});
