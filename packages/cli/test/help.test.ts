import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Runs Node to its end, without a database, a broker or a key in its environment; returns what it printed.
 */
const run = async (folder: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
    timeout: 20_000,
  });

describe('--help', () => {
  let clone: string;
  /** A clone in which nothing is installed or built: whatever needs more than its own files fails there. */
  beforeAll(async () => {
    clone = await mkdtemp(join(tmpdir(), 'help-'));
    for (const name of ['start.mjs', 'bootstrap']) {
      await cp(join(root, 'packages/cli', name), join(clone, 'packages/cli', name), { recursive: true });
    }
  });
  afterAll(() => rm(clone, { recursive: true, force: true }));

  it.each([
    ...['start', 'test', 'test:unit', 'test:integration', 'test:faults', 'bench', 'build', 'generate'],
    ...['import', 'import catalogue', 'import movielens', 'import imdb', 'import ratings'],
    ...['movies', 'movies twice', 'movies join a b', 'movies part b'],
    ...['ratings', 'ratings rebuild', 'ratings produce -', 'ratings key cinema'],
    ...['events', 'events lag', 'events outbox', 'events outbox resend --all'],
    ...['events dlq', 'events dlq replay --all', 'events dlq drop 1', 'events backfill'],
    ...['events dlq list', 'events dlq show 1', 'ratings rebuild --check', 'bench events'],
    ...['kafka', 'kafka --reset', 'compose', 'compose --release', 'compose --watch', 'start --reset', 'plan'],
    ...['operations', 'operations check'],
  ])('npm run %s -- --help prints help and does nothing else', async (words) => {
    for (const flag of ['--help', '-h']) {
      const { stdout, stderr } = await run(clone, 'packages/cli/start.mjs', ...words.split(' '), flag);
      expect(stdout).toContain(`npm ${words.startsWith('start') || words === 'test' ? '' : 'run '}`);
      expect(stdout).toContain(words.split(/[ :]/)[0]);
      expect(stderr).toBe('');
    }
    // No lock, no log, no data: nothing was installed, built, started or opened.
    expect((await readdir(clone, { recursive: true })).toSorted()).toEqual(
      ['packages', 'packages/cli', ...(await filesOf('start.mjs', 'bootstrap'))].toSorted(),
    );
  });

  const filesOf = async (file: string, folder: string) => [
    `packages/cli/${file}`,
    `packages/cli/${folder}`,
    ...(await readdir(join(root, 'packages/cli', folder))).map((name) => `packages/cli/${folder}/${name}`),
  ];

  it('every npm script that the command line runs has a help of its own', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const names = Object.keys(scripts).filter((name) => scripts[name]?.startsWith('exec node packages/cli/'));
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const { stdout } = await run(clone, 'packages/cli/start.mjs', name, '--help');
      expect(stdout).toMatch(/\n\n {2}npm /);
    }
  });

  it('the help of import names every source that has an importer', async () => {
    const { stdout } = await run(clone, 'packages/cli/start.mjs', 'import', '--help');
    const sources = new Set<string>();
    for (const subgraph of await readdir(join(root, 'subgraphs'))) {
      const folder = join(root, 'subgraphs', subgraph, 'src', 'import');
      for (const name of await readdir(folder).catch(() => [])) {
        if (/\brunImport\(/.test(await readFile(join(folder, name), 'utf8')))
          sources.add(name.replace(/\.ts$/, ''));
      }
    }
    expect(sources.size).toBeGreaterThan(3);
    for (const source of sources) expect(stdout).toContain(`npm run import -- ${source} `);
  });

  it.each(['rating main', 'rating events', 'metadata main', 'metadata events'])(
    'the entry of %s prints its usage with --help and needs no database for it',
    async (words) => {
      const [subgraph = '', entry = ''] = words.split(' ');
      const file = join(root, 'subgraphs', subgraph, 'dist', 'command-line', `${entry}.js`);
      const command = entry === 'events' ? 'events' : subgraph === 'rating' ? 'ratings' : 'movies';
      const help = (await run(clone, 'packages/cli/start.mjs', command, '--help')).stdout;
      for (const args of [['--help'], ['dlq', 'replay', '--all', '--help'], ['backfill', '-h']]) {
        const { stdout } = await run(root, file, ...args);
        const usage = stdout.split('\n').filter((line) => line.startsWith('  '));
        expect(usage.length).toBeGreaterThan(2);
        // Every form stands in the help of the command line, too.
        for (const line of usage) expect(help).toContain(line.trim().replace(/ \[--(json|check)\]$/, ''));
      }
    },
  );
});
