import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Databases } from '../src/databases.js';
import { importAtFirstStart } from '../src/import/first-import.js';

describe('the import at the first start', () => {
  let data: string;

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'first-import-'));
    await mkdir(join(data, 'dist', 'import'), { recursive: true });
    await writeFile(
      join(data, 'dist', 'import', 'catalogue.js'),
      `// In place of runImport(): records its arguments.
       require('node:fs').appendFileSync(${JSON.stringify(join(data, 'calls'))}, JSON.stringify(process.argv.slice(2)));`,
    );
  });
  afterEach(() => rm(data, { recursive: true, force: true }));

  /** Starts once; returns the arguments of all imports so far. */
  const start = async (embedded: Databases['embedded']) => {
    await importAtFirstStart({
      data,
      subgraphs: [
        {
          ...{ name: 'rating', folder: data, main: '' },
          ...{ databaseVariable: 'DATABASE_URL_RATING', urlVariable: 'SUBGRAPH_URL_RATING' },
        },
      ],
      databases: { urls: {}, embedded, stop: async () => undefined },
      env: process.env,
      signal: new AbortController().signal,
    });
    return readFile(join(data, 'calls'), 'utf8').catch(() => '');
  };
  const ours = { dataId: 'a', names: ['rating'] };

  it('the first import runs once for embedded data, and again after the data was reset', async () => {
    expect(await start(ours)).toBe('["--if-empty"]');
    expect(await start(ours)).toBe('["--if-empty"]');
    expect(await start({ ...ours, dataId: 'b' })).toBe('["--if-empty"]["--if-empty"]');
  });

  it('the first import checks a database on another server at each start', async () => {
    await start(ours);
    const theirs = { dataId: 'a', names: [] };
    await start(theirs);
    expect(await start(theirs)).toBe('["--if-empty"]["--if-empty"]["--if-empty"]');
  });

  it('the first import ignores a progress file without states', async () => {
    for (const text of ['{"identity":"a"}', '{"identity":"a","states":null}', 'null']) {
      await writeFile(join(data, 'first-import.json'), text);
      await start(ours);
    }
    expect(await start(ours)).toBe('["--if-empty"]["--if-empty"]["--if-empty"]');
  });
});
