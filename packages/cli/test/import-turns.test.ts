import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { runImporters } from '../src/import/import.js';

const aborting = () => {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
};

describe('two imports at once', () => {
  let data: string;

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'import-turns-'));
  });
  afterEach(() => rm(data, { recursive: true, force: true }));

  /** A subgraph whose importer is this code, with the argument of its run as `run`. */
  const subgraph = async (name: string, code: string) => {
    const folder = join(data, name);
    await mkdir(join(folder, 'dist', 'import'), { recursive: true });
    await writeFile(
      join(folder, 'dist', 'import', 'films.js'),
      `// In place of runImport().
       const { appendFileSync, existsSync, readFileSync, writeFileSync } = require('node:fs');
       const [, , run] = process.argv;
       const folder = process.env.IMPORT_FOLDER;
       ${code}`,
    );
    return { name, folder, main: '', databaseVariable: `DATABASE_URL_${name}`, urlVariable: '' };
  };

  it('two imports at once take turns, so that each reads what its own first importer handed over', async () => {
    const subgraphs = [
      await subgraph('first', `writeFileSync(folder + '/handover.jsonl', run); setTimeout(() => {}, 300);`),
      await subgraph(
        'second',
        `const path = folder + '/handover.jsonl';
         appendFileSync(folder + '/handed-over', run + (existsSync(path) ? readFileSync(path, 'utf8') : '-') + ' ');`,
      ),
    ];
    const run = (name: string) =>
      runImporters({
        ...{ subgraphs, source: 'films', args: [name], env: process.env, urls: {}, data },
        signal: new AbortController().signal,
      });
    expect(await Promise.all([run('a'), run('b')])).toEqual([0, 0]);
    const handedOver = await readFile(join(data, 'imports', 'handed-over'), 'utf8');
    expect(handedOver.trim().split(' ').toSorted()).toEqual(['aa', 'bb']);
  });

  it('an import that is aborted at any time ends, also just before its importer starts', async () => {
    const subgraphs = [await subgraph('first', `setTimeout(() => {}, 60_000);`)];
    for (let turns = 0; turns < 40; turns += 1) {
      const { signal, abort } = aborting();
      const run = runImporters({
        subgraphs,
        source: 'films',
        args: [],
        env: process.env,
        urls: {},
        data,
        signal,
      });
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      abort();
      expect(await run).toBe(1);
    }
  });

  it('an import that waits for another one ends when it is aborted', async () => {
    const subgraphs = [await subgraph('first', `setTimeout(() => {}, 60_000);`)];
    const run = (signal: AbortSignal) =>
      runImporters({ subgraphs, source: 'films', args: [], env: process.env, urls: {}, data, signal });
    const [holder, waiting] = [new AbortController(), new AbortController()];
    const held = run(holder.signal);
    await until(() => existsSync(join(data, 'imports', 'import.lock')));
    const waited = run(waiting.signal);
    waiting.abort();
    expect(await waited).toBe(1);
    holder.abort();
    await held;
  });
});
