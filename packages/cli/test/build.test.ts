import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { transpile } from '../bootstrap/transpile.mjs';

describe('the build', () => {
  let root: string;
  const source = (name: string, text: string) => writeFile(join(root, 'rating', 'src', name), text);

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'build-'));
    await mkdir(join(root, 'rating', 'src', 'sql'), { recursive: true });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('the build writes a script with a source map for each source, and none for tests', async () => {
    await source('main.ts', `import type { Never } from './never.js';\nexport const one: number = 1;\n`);
    await source('sql/merge.ts', `export const two = 2 as const;\n`);
    await source('main.test.ts', `throw new Error();\n`);
    await transpile(root, ['rating']);
    const written = (await readdir(join(root, 'rating', 'dist'), { recursive: true })).sort();
    expect(written).toEqual(['main.js', 'main.js.map', 'sql', 'sql/merge.js', 'sql/merge.js.map']);
    const { one } = (await import(join(root, 'rating', 'dist', 'main.js'))) as { one: unknown };
    expect(one).toBe(1);
    const map = JSON.parse(await readFile(join(root, 'rating', 'dist', 'main.js.map'), 'utf8')) as unknown;
    expect(map).toMatchObject({ sources: ['../src/main.ts'] });
  });

  it('the build removes the script of a source that was deleted, and keeps the declarations of tsc', async () => {
    await source('main.ts', `export const one = 1;\n`);
    await mkdir(join(root, 'rating', 'dist'));
    for (const name of ['gone.js', 'gone.js.map', 'main.d.ts', 'tsconfig.tsbuildinfo']) {
      await writeFile(join(root, 'rating', 'dist', name), '');
    }
    await transpile(root, ['rating']);
    expect((await readdir(join(root, 'rating', 'dist'))).sort()).toEqual([
      ...['main.d.ts', 'main.js', 'main.js.map', 'tsconfig.tsbuildinfo'],
    ]);
  });

  it('a syntax error fails the build with the file and the line', async () => {
    await source('main.ts', `export const one = ;\n`);
    await expect(transpile(root, ['rating'])).rejects.toThrow(/src\/main\.ts cannot be read as TypeScript/);
  });
});
