import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { askGraphQL } from '@cinegraph/testing/subgraph';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildSchema } from '@apollo/federation-internals';
import { until } from '@cinegraph/testing/until';
import { printPublished } from '../../packages/cli/src/compose/changes.js';
import { runService, type ServiceProcess } from '../support/service-process.js';

const start = join(import.meta.dirname, '../../packages/cli/start.mjs');
const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])\n`;
const films = `${link}type Query {\n  film: Film\n}\n\ntype Film @key(fields: "id") {\n  id: ID!\n}\n`;
const stars = `${link}type Film @key(fields: "id") {\n  id: ID!\n  stars: Int\n}\n`;
const list = (...names: string[]) =>
  `federation_version: =2.14.4\nsubgraphs:\n${names
    .map((name) => `  ${name}: { routing_url: http://127.0.0.1:1, schema: { file: ./${name}.graphql } }\n`)
    .join('')}`;
const withinMs = 45_000;

let folder: string;
let watch: ChildProcess;
let stdout = '';
let stderr = '';
let ended: Promise<unknown>;
let gateway: ServiceProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'watch-'));
  put('films.graphql', films);
  put('stars.graphql', stars);
  put('supergraph.yaml', list('films'));
  mkdirSync(join(folder, 'out'));
  [stdout, stderr] = ['', ''];
  watch = spawn(
    process.execPath,
    [start, 'compose', '--config', 'supergraph.yaml', '--output', 'out/supergraph.graphql', '--watch'],
    { env: { PATH: process.env['PATH'], INIT_CWD: folder }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  watch.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  watch.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  ended = once(watch, 'close');
  await said('start: wrote out/supergraph.graphql');
});
afterEach(async () => {
  if (watch.exitCode === null) watch.kill('SIGKILL');
  await ended;
  gateway?.signal('SIGKILL');
  await gateway?.ended;
  gateway = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const put = (path: string, content: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
/** Saves a file as many editors do: writes another one and renames it. */
const replace = (path: string, content: string) => {
  put(`${path}.swp`, content);
  renameSync(join(folder, `${path}.swp`), join(folder, path));
};
const supergraph = () => readFileSync(join(folder, 'out/supergraph.graphql'), 'utf8');
const said = (text: string) => until(() => stdout.includes(text), `stdout says "${text}"`, withinMs);
const complained = (text: string) => until(() => stderr.includes(text), `stderr says "${text}"`, withinMs);

describe('compose --watch', () => {
  it('a running gateway serves a field soon after it is added to a schema file', async () => {
    gateway = runService('gateway', {
      NODE_ENV: 'development',
      PORT: '0',
      SUPERGRAPH_PATH: join(folder, 'out/supergraph.graphql'),
    });
    const url = `${await gateway.url}/graphql`;
    const fields = async () => {
      const { data } = await askGraphQL(url, { query: '{ __type(name: "Film") { fields { name } } }' });
      return (data as { __type: { fields: { name: string }[] } }).__type.fields.map(({ name }) => name);
    };
    expect(await fields()).toEqual(['id']);

    put('films.graphql', films.replace('id: ID!', 'id: ID!\n  title: String'));
    await until(
      async () => (await fields()).join() === 'id,title',
      'the gateway serves id and title',
      withinMs,
    );

    put('supergraph.yaml', list('films', 'stars'));
    await until(
      async () => (await fields()).join() === 'id,title,stars',
      'the gateway serves the new field',
      withinMs,
    );

    put('stars.graphql', stars.replace('stars: Int', 'stars: Itn'));
    await complained('Film.stars  INVALID_GRAPHQL');
    expect(await fields()).toEqual(['id', 'title', 'stars']);
  });

  it('each composition prints one line that says what changed and what was written', async () => {
    replace('films.graphql', films.replace('id: ID!', 'id: ID!\n  title: String'));
    await said('films changed: wrote out/supergraph.graphql\n');
    put('supergraph.yaml', list('films', 'stars'));
    await said('stars added: wrote out/supergraph.graphql\n');
    put('stars.graphql', stars.replace('type Film', '# A remark.\ntype Film'));
    await said('stars changed: out/supergraph.graphql is up to date\n');
    put('supergraph.yaml', list('films'));
    await said('stars removed: wrote out/supergraph.graphql\n');
    expect(stderr).toBe('');
  });

  it('an error is shown with its location; the old file is kept, and the next valid schema is composed', async () => {
    const [before, { ino }] = [supergraph(), statSync(join(folder, 'out/supergraph.graphql'))];
    put('films.graphql', films.replace('film: Film', 'film: Flim'));
    await complained('films changed: out/supergraph.graphql is not changed\n\nComposition failed');
    await complained('at films.graphql:3:9');

    rmSync(join(folder, 'films.graphql'));
    await complained('subgraph films: cannot read its schema ./films.graphql');
    put('supergraph.yaml', 'subgraphs: [');
    await complained('is not valid YAML');
    expect(supergraph()).toBe(before);
    expect(statSync(join(folder, 'out/supergraph.graphql')).ino).toBe(ino);

    put('films.graphql', films.replace('film: Film', 'best: Film'));
    put('supergraph.yaml', list('films'));
    await said('films changed: wrote out/supergraph.graphql\n');
    expect(supergraph()).toContain('best: Film');
  });

  it('a change that breaks clients of the published schema is reported', async () => {
    put(
      'out/published.graphql',
      printPublished(
        buildSchema('type Query { film: Film } type Film { id: ID! length: Int }').toGraphQLJSSchema(),
      ),
    );
    put('films.graphql', films.replace('id: ID!', 'id: ID!\n  title: String'));
    await said('breaking   Film.length  FIELD_REMOVED');
    await said('safe       Film.title  FIELD_ADDED');
  });

  it('compose --watch ends on a signal', async () => {
    watch.kill('SIGINT');
    await ended;
    expect({ code: watch.exitCode, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/stopped\n$/);
  });

  it('compose --watch ends quietly, as after SIGPIPE, when nobody reads its output any more', async () => {
    watch.stdout?.destroy();
    replace('films.graphql', `${films}\nextend type Film { year: Int }\n`);
    await ended;
    expect({ code: watch.exitCode, stderr }).toEqual({ code: 141, stderr: '' });
  });
});
