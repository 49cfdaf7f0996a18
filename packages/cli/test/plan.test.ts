import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('npm run plan', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plan-'));
    await writeFile(
      join(folder, 'two.graphql'),
      'query Movies { movies(first: 1) { nodes { ...Rated } } } fragment Rated on Movie { title aggregatedRating { count } } query Nothing { __typename }',
    );
    await writeFile(join(folder, 'wrong.graphql'), '{ noSuchField }');
    await writeFile(join(folder, 'broken.graphql'), '{');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs the command in the folder of the files, as npm does. */
  const plan = async (...args: string[]) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        ['packages/cli/start.mjs', 'plan', ...args],
        { cwd: root, env: { PATH: process.env['PATH'], INIT_CWD: folder } },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });

  it('npm run plan prints the plan of each operation in a file, and the number of its fetches', async () => {
    const { code, stdout, stderr } = await plan('two.graphql');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Movies: 2 fetches (1 from metadata, 1 from rating)\n\nQueryPlan {');
    expect(stdout).toContain('Fetch(service: "rating") {');
    expect(stdout).toContain('Nothing: 0 fetches\n');
  });

  it('npm run plan ends with one sentence if an operation does not fit the supergraph', async () => {
    const { code, stderr } = await plan('wrong.graphql');
    expect(code).toBe(1);
    expect(stderr).toMatch(/wrong\.graphql: .* cannot be planned\. .*Cannot query field "noSuchField".*\n$/);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it.each([
    ['', 2, 'It takes one file of operations'],
    ['a.graphql b.graphql', 2, 'It takes one file of operations'],
    ['--unknown', 2, "Unknown option '--unknown'"],
    ['none.graphql', 1, 'none.graphql cannot be read'],
    ['broken.graphql', 1, 'broken.graphql has no operation that can be planned: Syntax Error'],
    ['wrong.graphql --supergraph none.graphql', 1, 'none.graphql cannot be read'],
    ['wrong.graphql --supergraph wrong.graphql', 1, 'is no supergraph'],
  ])('npm run plan %p exits with %p and says: %s', async (words, exitCode, message) => {
    const { code, stdout, stderr } = await plan(...words.split(' ').filter(Boolean));
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toContain(message);
  });
});
