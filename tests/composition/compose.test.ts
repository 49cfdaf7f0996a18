import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compose } from '../../packages/cli/src/compose/command.js';
import { createComposeFolder } from '../support/compose-folder.js';

const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])`;
const films = `${link}

type Query {
  film(id: ID!): Film
}

type Film @key(fields: "id") {
  id: ID!
  title: String
}
`;
const stars = `${link}

type Film @key(fields: "id") {
  id: ID!
  stars: Int
}
`;
const entry = (name: string, schema = `file: ./${name}/schema.graphql`) => `
  ${name}:
    routing_url: http://127.0.0.1:4001/${name}
    schema:
      ${schema}`;
const list = (...entries: string[]) => `federation_version: =2.14.4\nsubgraphs:${entries.join('')}\n`;

let folder: ReturnType<typeof createComposeFolder>;
beforeEach(() => {
  folder = createComposeFolder();
  folder.put('films/schema.graphql', films);
  folder.put('stars/schema.graphql', stars);
  folder.put('supergraph.yaml', list(entry('films'), entry('stars')));
});
afterEach(() => folder.remove());

const write = ['--config', 'supergraph.yaml', '--output', 'out.graphql'];
const check = [...write, '--check'];

describe('composing', () => {
  it('compose writes the supergraph of the listed subgraphs, with their URLs', async () => {
    expect(await folder.compose(write)).toEqual({ code: 0, printed: 'wrote out.graphql', complained: '' });
    expect(folder.get('out.graphql')).toContain(
      '@join__graph(name: "stars", url: "http://127.0.0.1:4001/stars")',
    );
    expect(folder.get('out.graphql')).toMatch(/type Film[^}]+stars: Int @join__field\(graph: STARS\)/);
  });

  it.each([
    ['not declared', ''],
    ['declared', '\ndirective @oneOf on INPUT_OBJECT\n'],
  ])('@oneOf is in the supergraph and in the published schema, %s by the subgraph', async (_, declared) => {
    const input =
      '\ntype Query {\n  by(key: Key!): Film\n}\ninput Key @oneOf {\n  id: ID\n  title: String\n}\n';
    folder.put('stars/schema.graphql', `${stars}${declared}${input}`);
    expect(await folder.compose(write)).toMatchObject({ code: 0, complained: '' });
    expect(folder.get('out.graphql')).toMatch(/input Key\s+@join__type\(graph: STARS\)\s+@oneOf/);
    await folder.compose([...write, '--release']);
    expect(folder.get('published.graphql')).toContain('input Key @oneOf {');
    expect(await folder.compose(check)).toMatchObject({ code: 0 });
  });

  it('@oneOf is refused with a correction in a subgraph that cannot compose it', async () => {
    folder.put('stars/schema.graphql', 'type Query { by(key: Key!): Int } input Key @oneOf { id: ID }');
    const { code, complained } = await folder.compose(write);
    expect(code).toBe(1);
    expect(complained).toContain('ONE_OF_NOT_COMPOSED');
    expect(complained).toContain('@oneOf is kept only in a subgraph that links federation 2.1 or later.');
  });

  it('compose writes the same bytes again, in whatever order the list is', async () => {
    await folder.compose(write);
    const first = folder.get('out.graphql');
    folder.put('supergraph.yaml', list(entry('stars'), entry('films')));
    await folder.compose([...write.slice(0, 3), 'again.graphql']);
    expect(folder.get('again.graphql')).toBe(first);
  });

  it('compose does not touch a file that is up to date, so that nothing reloads it', async () => {
    await folder.compose(write);
    const before = statSync(join(folder.path, 'out.graphql')).ino;
    expect((await folder.compose(write)).printed).toBe('out.graphql is up to date');
    expect(statSync(join(folder.path, 'out.graphql')).ino).toBe(before);
  });

  it('compose prints the supergraph of another list if no output file is named, as rover does', async () => {
    const { code, printed } = await folder.compose(['--config', 'supergraph.yaml']);
    expect(code).toBe(0);
    expect(printed).toContain('type Film');
  });

  it('compose prints its help, and refuses an unknown option', async () => {
    expect(await folder.compose(['--help'])).toMatchObject({
      code: 0,
      printed: expect.stringContaining('--check'),
    });
    expect(await folder.compose(['--chekc'])).toMatchObject({
      code: 2,
      complained: expect.stringContaining('--chekc'),
    });
  });
});

describe('checking', () => {
  it('compose --check passes if the file is what the schemas compose to', async () => {
    await folder.compose(write);
    expect(await folder.compose(check)).toEqual({
      code: 0,
      printed: 'out.graphql is up to date',
      complained: '',
    });
  });

  it('compose --check fails on a stale file and prints what would change, without writing it', async () => {
    await folder.compose(write);
    const committed = folder.get('out.graphql');
    folder.put('stars/schema.graphql', stars.replace('stars: Int', 'stars: Float'));
    const { code, complained } = await folder.compose(check);
    expect(code).toBe(1);
    expect(complained).toContain('out.graphql is stale. Run: npm run compose');
    expect(complained).toMatch(/^- {3}stars: Int .*\n\+ {3}stars: Float /m);
    expect(folder.get('out.graphql')).toBe(committed);
  });

  it('compose --check fails if the file is missing', async () => {
    const { code, complained } = await folder.compose(check);
    expect(code).toBe(1);
    expect(complained).toContain('does not exist');
    expect(existsSync(join(folder.path, 'out.graphql'))).toBe(false);
  });

  describe('with a warning', () => {
    beforeEach(async () => {
      folder.put('films/schema.graphql', films.replace('type Film', '"A film."\ntype Film'));
      folder.put('stars/schema.graphql', stars.replace('type Film', '"What is rated."\ntype Film'));
      await folder.compose(write);
    });
    const allow = (element: string, reason: string) =>
      folder.put(
        'supergraph.hints.yaml',
        `- code: INCONSISTENT_DESCRIPTION\n  element: ${element}\n  reason: ${reason}\n`,
      );

    it('compose --check fails on a warning that is not allowed, and names element, subgraphs and correction', async () => {
      const { code, complained } = await folder.compose(check);
      expect(code).toBe(1);
      expect(complained).toContain('Film  INCONSISTENT_DESCRIPTION');
      expect(complained).toContain('subgraphs films, stars');
      expect(complained).toContain('fix: Describe the element in the same words');
    });

    it('compose --check passes with a warning that is allowed with a reason', async () => {
      allow('Film', 'Two views of one thing.');
      expect(await folder.compose(check)).toMatchObject({ code: 0, complained: '' });
    });

    it('compose --check fails if only another element is allowed, and on an entry without a warning', async () => {
      allow('Query', 'Was true once.');
      const { code, complained } = await folder.compose(check);
      expect(code).toBe(1);
      expect(complained).toContain('Film  INCONSISTENT_DESCRIPTION');
      expect(complained).toContain('allows INCONSISTENT_DESCRIPTION of Query, which no longer occurs');
    });

    it('compose --check refuses an allowed warning without a reason', async () => {
      allow('Film', '');
      expect(await folder.compose(check)).toMatchObject({
        code: 1,
        complained: expect.stringContaining('needs code, element and reason'),
      });
    });
  });
});

describe('errors of composition', () => {
  const failing = async () => {
    const { code, complained } = await folder.compose(write);
    expect(code).toBe(1);
    expect(existsSync(join(folder.path, 'out.graphql'))).toBe(false);
    return complained;
  };

  it('an error of composition names the field, the subgraphs, the lines and the correction', async () => {
    folder.put('stars/schema.graphql', stars.replace('stars: Int', 'stars: Int\n  title: String'));
    const complained = await failing();
    expect(complained).toContain('Film.title  INVALID_FIELD_SHARING');
    expect(complained).toContain('subgraphs films, stars');
    expect(complained).toContain('at films/schema.graphql:9:3');
    expect(complained).toContain('at stars/schema.graphql:6:3');
    expect(complained).toContain('mark it @shareable');
  });

  it('an error of composition names the location of an unknown type', async () => {
    folder.put('stars/schema.graphql', stars.replace('stars: Int', 'stars: Itn'));
    const complained = await failing();
    expect(complained).toContain('Film.stars  INVALID_GRAPHQL');
    expect(complained).toContain('at stars/schema.graphql:5:10');
  });

  it('an error of composition names the location of a syntax error', async () => {
    folder.put('stars/schema.graphql', `${stars}\ntype {`);
    expect(await failing()).toContain('at stars/schema.graphql:8:6');
  });

  it('an error of composition names the field that no query plan can reach, although composition gives no line', async () => {
    folder.put(
      'stars/schema.graphql',
      stars.replace('@key(fields: "id")', '@key(fields: "id", resolvable: false)'),
    );
    const complained = await failing();
    expect(complained).toContain('Film.stars  SATISFIABILITY_ERROR');
    expect(complained).toContain('at stars/schema.graphql:5:3');
  });

  it('all errors of composition are printed at once', async () => {
    folder.put('films/schema.graphql', `${films}\ntype {`);
    folder.put('stars/schema.graphql', `${stars}\ntype {`);
    expect(await failing()).toContain('2 errors');
  });
});

describe('the list, read by the rules of rover', () => {
  it('a list is refused if it requests another federation version than the installed one', async () => {
    for (const [version, reason] of [
      ['=2.13.0', 'federation_version is =2.13.0'],
      ['2', 'means the newest version'],
      ['1', 'Federation 1'],
      ['=0.36.0', 'Federation 1'],
    ] as const) {
      folder.put('supergraph.yaml', list(entry('films')).replace('=2.14.4', version));
      const { code, complained } = await folder.compose(write);
      expect(code).toBe(1);
      expect(complained).toContain(reason);
      expect(complained).toContain('=2.14.4');
    }
    folder.put('supergraph.yaml', list(entry('films')).replace(/^federation_version.*\n/, ''));
    expect(await folder.compose(write)).toMatchObject({
      code: 1,
      complained: expect.stringContaining('is missing'),
    });
    folder.put('supergraph.yaml', list(entry('films')).replace('=2.14.4', 'v2.14.4'));
    expect(await folder.compose(write)).toMatchObject({ code: 0 });
  });

  it('a list may contain the schema itself', async () => {
    folder.put(
      'supergraph.yaml',
      list(entry('films', `sdl: |\n${films.replace(/^/gm, '        ')}`), entry('stars')),
    );
    expect(await folder.compose(write)).toMatchObject({ code: 0, complained: '' });
  });

  it('a list names files relative to itself, not to the current folder', async () => {
    mkdirSync(join(folder.path, 'elsewhere'));
    const printed: string[] = [];
    const code = await compose(['--config', '../supergraph.yaml'], {
      variables: {},
      folder: join(folder.path, 'elsewhere'),
      print: (text) => void printed.push(text),
      complain: (text) => void printed.push(text),
    });
    expect({ code, printed: printed.join() }).toMatchObject({
      code: 0,
      printed: expect.stringContaining('type Film'),
    });
  });

  it('variables are expanded in every value of a list, with defaults', async () => {
    folder.put(
      'supergraph.yaml',
      list(entry('films'), entry('stars'))
        .replace('http://127.0.0.1:4001/films', '${env.FILMS_URL}/graphql')
        .replace('http://127.0.0.1:4001/stars', 'http://${env.STARS_HOST:-stars.example}/$$$$1')
        .replace('./stars/', '${env.FOLDER:-./stars}/'),
    );
    expect(await folder.compose(write, { FILMS_URL: 'http://films.example' })).toMatchObject({
      code: 0,
      complained: '',
    });
    expect(folder.get('out.graphql')).toContain('url: "http://films.example/graphql"');
    expect(folder.get('out.graphql')).toContain('url: "http://stars.example/$1"');
    const { code, complained } = await folder.compose(write);
    expect(code).toBe(1);
    expect(complained).toContain('the variable FILMS_URL is not set');
  });

  it('a list is refused with every problem at once: schemas from a network, missing files, missing URLs', async () => {
    folder.put(
      'supergraph.yaml',
      list(
        entry('films', 'subgraph_url: http://127.0.0.1:4001'),
        entry('stars', 'graphref: movies@current'),
        entry('gone'),
        '\n  lost:\n    schema:\n      file: ./films/schema.graphql',
        '\n  empty: {}',
      ),
    );
    const { code, complained } = await folder.compose(write);
    expect(code).toBe(1);
    for (const sentence of [
      /subgraph films: "subgraph_url:" would fetch the schema from a network/,
      /subgraph stars: "graphref:" would fetch/,
      /subgraph gone: cannot read its schema \.\/gone\/schema.graphql/,
      /subgraph lost: it needs a "routing_url:"/,
      /subgraph empty: it needs "schema:"/,
    ]) {
      expect(complained).toMatch(sentence);
    }
  });

  it('a list is refused in one sentence if it is missing, is not YAML, or is empty', async () => {
    for (const [content, reason] of [
      ['a: [', 'is not valid YAML'],
      ['', 'has no "subgraphs:"'],
      ['subgraphs: {}', 'lists no subgraph'],
    ] as const) {
      folder.put('supergraph.yaml', content);
      expect(await folder.compose(write)).toMatchObject({
        code: 1,
        complained: expect.stringContaining(reason),
      });
    }
    folder.remove('supergraph.yaml');
    const { complained } = await folder.compose(write);
    expect(complained).toContain('Cannot read the list of subgraphs');
    expect(complained).not.toContain('    at ');
  });
});
