import { describe, expect, it } from '@jest/globals';
import { readJsonArray } from './json-array.js';
import { readLines, type TextRecord } from './lines.js';
import { readTable, type Row } from './table.js';

/** Yields the bytes in pieces of this size, as a file system may return them. */
const pieces = async function* (content: string | Buffer, size = 3): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
};

const all = async <Item>(batches: AsyncIterable<readonly Item[]>): Promise<Item[]> => {
  const items: Item[] = [];
  for await (const batch of batches) items.push(...batch);
  return items;
};

const table = (content: string | Buffer, columns: string[], separator?: ',' | '\t'): Promise<Row[]> =>
  all(readTable({ name: 'a.csv', chunks: pieces(content) }, columns, separator));

const array = (content: string | Buffer, maxBytes?: number): Promise<TextRecord[]> =>
  all(readJsonArray({ name: 'a.json', chunks: pieces(content) }, maxBytes));

describe('lines', () => {
  it.each([
    ['LF', 'a\nb\n\nc'],
    ['CR LF', 'a\r\nb\r\n\r\nc\r\n'],
    ['CR', 'a\rb\r\rc\r'],
  ])('lines may end with %s, wherever the file is cut into pieces', async (_name, content) => {
    for (let size = 1; size < 10; size += 1) {
      const lines = await all(readLines(pieces(content, size)));
      expect(lines).toEqual([
        { line: 1, text: 'a' },
        { line: 2, text: 'b' },
        { line: 4, text: 'c' },
      ]);
    }
  });

  it('lines have a fault if they are too long or not UTF-8, and the lines after them are read', async () => {
    const content = Buffer.concat([
      Buffer.from(`\uFEFFfirst\n${'x'.repeat(50)}\n`),
      Buffer.from([0xff, 0xfe, 0x0a]),
      Buffer.from('grüße\n'),
    ]);
    expect(await all(readLines(pieces(content), 20))).toEqual([
      { line: 1, text: 'first' },
      { line: 2, text: '', fault: 'the line has 50 bytes, more than 20' },
      { line: 3, text: 'ÿþ', fault: 'it is not UTF-8' },
      { line: 4, text: 'grüße' },
    ]);
  });
});

describe('a text table', () => {
  it('a table is read by the names of its columns, in any order, quoted or not', async () => {
    const rows = await table('c,b,a\r\n1,2,3\r\n"x, ""y""",,z\r\n', ['a', 'c']);
    expect(rows.map((row) => ('cells' in row ? row.cells : row))).toEqual([
      ['3', '1'],
      ['z', 'x, "y"'],
    ]);
  });

  it('a table has a fault only in a row of another width and in a row whose quote never ends', async () => {
    const rows = await table('a,b\n1\n"2,3\n4,5\n', ['a', 'b']);
    expect(rows).toEqual([
      { line: 2, text: '1', fault: 'it has 1 columns instead of 2' },
      { line: 3, text: '"2,3', fault: 'its quotes are not in pairs' },
      { line: 4, text: '4,5', cells: ['4', '5'] },
    ]);
  });

  it('a table reads a quoted cell with line breaks as one row, wherever the file is cut into pieces', async () => {
    const content = 'a,b\r\n"1\r\n\r\n2",3\r\n4,5\r\n';
    for (let size = 1; size < 12; size += 1) {
      const rows = await all(readTable({ name: 'a.csv', chunks: pieces(content, size) }, ['a', 'b']));
      expect(rows.map((row) => ('cells' in row ? [row.line, ...row.cells] : row))).toEqual([
        [2, '1\n\n2', '3'],
        [5, '4', '5'],
      ]);
    }
  });

  it('a table loses only the lines with a stray quote, however many good lines are between them', async () => {
    const good = Array.from({ length: 2_500 }, (_, n) => `${n},good`);
    const lines = ['1,12" disc', ...good, '2,"open', ...good, '3,7" disc'];
    const rows = await table(`a,b\n${lines.join('\n')}\n`, ['a', 'b']);
    expect(rows).toHaveLength(lines.length);
    expect(rows.filter(({ fault }) => fault !== undefined).map(({ text }) => text)).toEqual([
      ...['1,12" disc', '2,"open', '3,7" disc'],
    ]);
  });

  it('a table is refused with all missing columns and the names that were probably meant', async () => {
    await expect(table('User_Id,b,Ratng\n1,2,3\n', ['userId', 'b', 'rating', 'movieId'])).rejects.toThrow(
      'a.csv has no columns "userId", "rating", "movieId". Its first line names: User_Id, b, Ratng. Rename "User_Id" to "userId", "Ratng" to "rating".',
    );
  });

  it('a table has no quotes if it is separated by tabs', async () => {
    const rows = await table('a\tb\n"x\ty,\n', ['b', 'a'], '\t');
    expect(rows).toEqual([{ line: 2, text: '"x\ty,', cells: ['y,', '"x'] }]);
  });

  it.each([
    ['it lacks a column', 'b,c\n1,2\n', /has no column "a". Its first line names: b, c/],
    ['it is UTF-16', Buffer.from('a,b\n1,2\n', 'utf16le'), /no column "a"/],
    ['it is not text', Buffer.from([0xff, 0xfe, 0x61, 0x0a]), /not a text table in UTF-8/],
    ['it is empty', ' \n \n', /is empty/],
  ])('a table is refused as a whole if %s', async (_name, content, reason) => {
    await expect(table(content, ['a'])).rejects.toThrow(reason);
  });
});

describe('a JSON array', () => {
  it('a JSON array is read element by element, each with its number and the line where it begins', async () => {
    const content = '\n[ {"a": "]},["},\n  {"b": [1, {"c": "\\""}]} ,\n3\n]\n';
    for (let size = 1; size < 12; size += 1) {
      const records = await all(readJsonArray({ name: 'a', chunks: pieces(content, size) }));
      expect(records.map(({ line, element, text }) => [element, line, JSON.parse(text) as unknown])).toEqual([
        [1, 2, { a: ']},[' }],
        [2, 3, { b: [1, { c: '"' }] }],
        [3, 4, 3],
      ]);
    }
  });

  it('a JSON array may be empty', async () => {
    expect(await array('[ ]')).toEqual([]);
  });

  it('a JSON array has a fault in an element that is too large or not UTF-8, and the elements after it are read', async () => {
    const content = Buffer.concat([
      Buffer.from(`["${'x'.repeat(50)}",`),
      Buffer.from([0x22, 0xff, 0x22]),
      Buffer.from(',7]'),
    ]);
    expect(await array(content, 20)).toMatchObject([
      { fault: 'the record has 52 bytes, more than 20' },
      { fault: 'it is not UTF-8' },
      { text: '7' },
    ]);
  });

  it.each([
    ['[1,2', /ends within its array, in line 1: it was cut off/],
    ['[{"a": "b]', /was cut off/],
    ['[1]\n[2]', /continues after the end of its array, in line 2/],
  ])('a JSON array is refused as a whole if it is %j', async (content, reason) => {
    await expect(array(content)).rejects.toThrow(reason);
  });
});
