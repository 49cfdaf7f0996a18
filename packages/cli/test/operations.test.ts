import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../../../', import.meta.url));

const manifestOf = (...bodies: readonly string[]) =>
  JSON.stringify(
    {
      format: 'apollo-persisted-query-manifest',
      version: 1,
      operations: bodies.map((body, n) => ({
        id: `id${n}`,
        name: /\w+ (\w+)/.exec(body)?.[1],
        type: 'query',
        body,
      })),
    },
    undefined,
    1,
  );

const short = 'query Short { movies(first: 10) { nodes { title } } }';

describe('npm run operations -- check', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'operations-'));
    const supergraph = await readFile(join(root, 'gateway/supergraph.graphql'), 'utf8');
    const files = {
      'good.json': manifestOf(
        short,
        'query Later { movies(first: 10) { nodes { title ... @defer(label: "later") { id } } } }',
      ),
      'broken.json': manifestOf(
        short,
        'query Misspelt {\n  movies {\n    nodes { titel }\n  }\n}',
        'query Long { movies(first: 30000) { nodes { title } } }',
        'query Cut {',
        'query Twice { ... @defer(label: "a") { __typename } ... @defer(label: "a") { __typename } }',
      ),
      'other.json': '{"format":"other"}',
      'changed.graphql': supergraph.replace(/(\btopRated\(\s[^)]*?first: Int(!?) = )\d+/, '$199'),
      'no.graphql': 'type Query',
      'default.json': manifestOf('query Default { topRated { nodes { title } } }', short),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    expect(files['changed.graphql']).not.toBe(supergraph);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs the command in the folder of the files, as npm does. */
  const run = async (words: string, env: Record<string, string> = {}) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        ['packages/cli/start.mjs', 'operations', ...words.split(' ').filter(Boolean)],
        { cwd: root, env: { PATH: process.env['PATH'], INIT_CWD: folder, ...env } },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });

  it('a manifest whose operations are all valid passes, by option and by variable', async () => {
    const passed = {
      code: 0,
      stdout: expect.stringMatching(/^All 2 operations of .* are valid\.\n$/),
      stderr: '',
    };

    expect(await run('check --manifest good.json')).toEqual(passed);
    expect(await run('check', { OPERATIONS_MANIFEST: 'good.json' })).toEqual(passed);
  });

  it('each broken operation is printed with its name, its line in the manifest and the reason', async () => {
    const { code, stdout } = await run('check --manifest broken.json');

    expect(code).toBe(1);
    expect(stdout).toContain('4 of 5 operations would be refused');
    expect(stdout).toMatch(
      /Misspelt {2}.*broken\.json:12\n {4}3:13 {2}Cannot query field "titel" on type "Movie"\./,
    );
    expect(stdout).toMatch(/Long {2}.*broken\.json:18\n {4}The argument "first" of movies is 30000/);
    expect(stdout).toMatch(/Cut {2}.*\n {4}1:12 {2}Syntax Error/);
    expect(stdout).toMatch(/Twice {2}.*\n {4}1:\d+ {2}Each label of @defer must be unique/);
    expect(stdout).not.toContain('Short');
  });

  it('an operation that costs more or less on the new supergraph is printed, and breaks nothing', async () => {
    const { code, stdout } = await run('check --manifest default.json --supergraph changed.graphql');

    expect(code).toBe(0);
    expect(stdout).toMatch(/The cost of 1 of 2 operations changes:[^]*Default {2}.*\n {4}cost \d+ → \d+\n/);
    const same = await run(
      'check --manifest default.json --supergraph changed.graphql --against changed.graphql',
    );
    expect(same.stdout).toMatch(/^All 2 operations/);
  });

  it.each([
    ['', 2, 'Its only word is check'],
    ['check all', 2, 'Its only word is check'],
    ['check', 2, 'There is no manifest'],
    ['check --unknown', 2, "Unknown option '--unknown'"],
    ['check --manifest none.json', 1, 'none.json cannot be read'],
    ['check --manifest other.json', 1, 'other.json is no manifest of operations: it has another format'],
    ['check --manifest good.json --supergraph no.graphql', 1, 'no.graphql is no schema of a graph'],
  ])('npm run operations -- %p exits with %p and says: %s', async (words, exitCode, message) => {
    const { code, stdout, stderr } = await run(words);

    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
