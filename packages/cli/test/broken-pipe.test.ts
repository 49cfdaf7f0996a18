import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { testDatabase } from '@cinegraph/testing/database';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs a compiled file without anybody who reads this stream of it; returns its exit code and the other. */
const runUnread = async (
  unread: 'stdout' | 'stderr',
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) => {
  const child = spawn(process.execPath, [join(root, file), ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child[unread].destroy();
  let printed = '';
  const other = unread === 'stdout' ? child.stderr : child.stdout;
  other.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, printed };
};

const events = 'subgraphs/rating/dist/command-line/events.js';
const ratings = 'subgraphs/rating/dist/command-line/main.js';
const importer = 'subgraphs/rating/dist/import/ratings.js';

describe('a command whose output nobody reads', () => {
  it.each([
    ['events', events],
    ['ratings', ratings],
  ])('the usage of %s ends quietly, as after SIGPIPE', async (_name, file) => {
    expect(await runUnread('stdout', file, ['--help'])).toEqual({ code: 141, printed: '' });
  });

  it('the help of the command line ends quietly, as after SIGPIPE', async () => {
    expect(await runUnread('stdout', 'packages/cli/start.mjs', ['events', '--help'])).toEqual({
      ...{ code: 141, printed: '' },
    });
    expect(await runUnread('stderr', 'packages/cli/start.mjs', ['no-such-command'])).toEqual({
      ...{ code: 2, printed: '' },
    });
  });

  it('commands on a database end quietly, as after SIGPIPE, and do not need standard error', async () => {
    const database = await testDatabase({ name: 'rating', migrations: [] });
    const env = { DATABASE_URL_RATING: database.url, SUBGRAPH_KEY: testSubgraphKey };
    const sample = join(root, 'examples/ratings/ratings.csv');
    try {
      for (const [file, args] of [
        [events, ['outbox']],
        [events, ['dlq', 'list']],
        [ratings, ['rebuild']],
        [importer, [sample, '--scale', '5']],
      ] as const) {
        expect(await runUnread('stdout', file, args, env)).toEqual({ code: 141, printed: '' });
      }
      expect(await runUnread('stderr', events, ['dlq', 'burn'], env)).toEqual({ code: 2, printed: '' });
      expect(await runUnread('stderr', importer, [], env)).toEqual({ code: 2, printed: '' });
      expect(await runUnread('stderr', importer, ['no-such-file', '--scale', '5'], env)).toEqual({
        code: 1,
        printed: '',
      });
    } finally {
      await database.drop();
    }
  });
});
