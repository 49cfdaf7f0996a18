import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bearerOf, tokenOf } from '@cinegraph/testing/tokens';
import { know } from '../support/known-movies.js';
import { startTestGraph, type TestGraph } from '../support/graph.js';

const root = join(import.meta.dirname, '../..');
const examples = join(root, 'examples');

let graph: TestGraph;
beforeAll(async () => {
  graph = await startTestGraph();
});
afterAll(() => graph.stop());

const editor = bearerOf('editor', { scopes: ['catalogue:write'] });
const create = async (input: Record<string, unknown>): Promise<string> => {
  const { data, errors } = await graph.ask(
    'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
    { input },
    editor,
  );
  if (errors) throw new Error(JSON.stringify(errors));
  const { id } = (data as { createMovie: { movie: { id: string } } }).createMovie.movie;
  // No broker runs here.
  await know(graph.subgraphs.rating.pool, [id]);
  return id;
};
const rate = (movieId: string, viewer: string, score: number) =>
  graph.ask(
    'mutation ($movieId: ID!, $score: Score!) { submitRating(movieId: $movieId, score: $score) { rating { score } } }',
    { movieId, score },
    bearerOf(viewer),
  );

describe('the typed client, as a process', () => {
  const runClient = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [join(examples, 'dist/main.js'), ...args], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  };
  const ofGraph = (...args: readonly string[]) =>
    runClient('--url', `${graph.url}/graphql`, '--genre', 'sea-story', '--page', '3', ...args);

  beforeAll(async () => {
    for (let number = 1; number <= 7; number += 1) {
      const id = await create({ title: `Sea ${number}`, releaseYear: 2000 + number, genres: ['Sea story'] });
      if (number === 2) await rate(id, 'bob', 8);
      if (number === 5) await rate(id, 'bob', 6);
    }
    await create({ title: 'Land', releaseYear: 2005, genres: ['Land story'] });
  });

  it('the client reads every page of a filter, rates, explains a refusal by its code, and retracts the rating', async () => {
    expect(await ofGraph('--token', tokenOf('ann'))).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        '7 movies on 3 pages',
        '  Sea 2 (2002), 8.00 of 1 vote',
        '  Sea 5 (2005), 6.00 of 1 vote',
        '  Sea 1 (2001), no votes',
        'Sea 2 was not rated 11: RATING_OUT_OF_RANGE, a score is a whole number from 1 to 10.',
        'rated 9: Sea 2 (2002), 8.50 of 2 votes',
        'retracted: Sea 2 (2002), 8.00 of 1 vote',
        '',
      ].join('\n'),
    });
  });

  it('the client prints that rating needs a viewer', async () => {
    const { code, stdout } = await ofGraph('--from', '2005');
    expect(code).toBe(0);
    expect(stdout).toContain('3 movies on 1 page\n  Sea 5 (2005), 6.00 of 1 vote\n');
    expect(stdout).toContain(
      'Sea 5 was not rated 9: UNAUTHENTICATED, log in, and pass the access token with --token.',
    );
  });

  it.each([
    ['from', 'last year'],
    ['page', 'ten'],
  ])('the client exits with 1 if --%s is not a number, and prints no list', async (option, value) => {
    expect(await ofGraph(`--${option}`, value)).toEqual({
      code: 1,
      stdout: '',
      stderr: `--${option} must be a whole number, not "${value}".\n`,
    });
  });

  it('the client exits with 1 and one sentence if no server responds', async () => {
    const { code, stdout, stderr } = await runClient('--url', 'http://127.0.0.1:1/graphql');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^fetch failed \(.+\)\n$/);
  });
});

describe('the saved operations', () => {
  const files = readdirSync(examples)
    .filter((name) => name.endsWith('.graphql'))
    .map((name) => {
      const text = readFileSync(join(examples, name), 'utf8');
      const json = (label: string) =>
        JSON.parse(new RegExp(`^# ${label}: (.+)$`, 'm').exec(text)?.[1] ?? '{}') as Record<string, string>;
      return { name, text, variables: json('Variables') };
    });

  beforeAll(async () => {
    const { errors } = await graph.ask(
      `mutation {
         upsertMovie(id: "vega:1", input: { title: "The First", genres: ["Drama"] }) { movie { id } }
         imdb: upsertMovie(externalId: { source: "imdb", value: "tt9999999" }, input: { title: "The Second" }) { movie { id } }
       }`,
      {},
      editor,
    );
    expect(errors).toBeUndefined();
    await know(graph.subgraphs.rating.pool, ['vega:1']);
    await graph.subgraphs.metadata.pool.query(
      `INSERT INTO person (id, name) VALUES ('person:vega:christopher-nolan', 'Christopher Nolan')`,
    );
  });

  it.each(files)('the saved operation $name succeeds for an editor with its own variables', async (file) => {
    const variables = { ...file.variables };
    if (variables['id']?.startsWith('<') === true) variables['id'] = await create({ title: 'To be changed' });
    const { data, errors, status } = await graph.ask(file.text, variables, editor);
    expect({ status, errors }).toEqual({ status: 200, errors: undefined });
    for (const answered of Object.values(data!)) expect(answered).not.toBeNull();
  });

  it('the saved operations use every field of Query and Mutation', async () => {
    // Prettier indents root fields by two spaces.
    const used = new Set(
      files.flatMap(({ text }) => {
        const [operation = ''] = /^(query|mutation)/m.exec(text) ?? [];
        return [...text.matchAll(/^ {2}(\w+)/gm)].map(([, field]) => `${operation}.${field}`);
      }),
    );
    const { data } = await graph.ask(
      '{ __schema { queryType { fields { name } } mutationType { fields { name } } } }',
    );
    const { queryType, mutationType } = (
      data as { __schema: Record<'queryType' | 'mutationType', { fields: { name: string }[] }> }
    ).__schema;
    const all = [
      ...queryType.fields.map(({ name }) => `query.${name}`),
      ...mutationType.fields.map(({ name }) => `mutation.${name}`),
    ];
    expect(all.filter((field) => !used.has(field))).toEqual([]);
  });

  it('the saved operations hold the first query of the README', () => {
    const [, query = ''] = /```graphql\n([^]+?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
    const fieldsOf = (text: string) =>
      text
        .replace(/^query \w+/, '')
        .replace(/\s+/g, ' ')
        .trim();
    expect(fieldsOf(readFileSync(join(examples, 'first-query.graphql'), 'utf8'))).toBe(fieldsOf(query));
  });
});
