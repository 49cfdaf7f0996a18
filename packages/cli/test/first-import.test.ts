import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Databases } from '../src/databases.js';
import { importAtFirstStart } from '../src/first-import.js';

describe('the import at the first start', () => {
  let data: string;

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'first-import-'));
    await mkdir(join(data, 'dist', 'import'), { recursive: true });
    await writeFile(
      join(data, 'dist', 'import', 'catalogue.js'),
      `// In place of runImport(): keeps what it was called with.
       require('node:fs').appendFileSync(${JSON.stringify(join(data, 'calls'))}, JSON.stringify(process.argv.slice(2)));`,
    );
  });
  afterEach(() => rm(data, { recursive: true, force: true }));

  /** Starts once; answers the arguments of all imports so far. */
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
  const ours = { identity: 'a', names: ['rating'] };

  it('is done once for data of our own, and again for data that was made anew', async () => {
    expect(await start(ours)).toBe('["--if-empty"]');
    expect(await start(ours)).toBe('["--if-empty"]');
    expect(await start({ ...ours, identity: 'b' })).toBe('["--if-empty"]["--if-empty"]');
  });

  it('asks a database of the person’s own each time, whatever was done for ours', async () => {
    await start(ours);
    const theirs = { identity: 'a', names: [] };
    await start(theirs);
    expect(await start(theirs)).toBe('["--if-empty"]["--if-empty"]["--if-empty"]');
  });

  it('takes a file without states for none', async () => {
    for (const text of ['{"identity":"a"}', '{"identity":"a","states":null}', 'null']) {
      await writeFile(join(data, 'first-import.json'), text);
      await start(ours);
    }
    expect(await start(ours)).toBe('["--if-empty"]["--if-empty"]["--if-empty"]');
  });
});
