import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compose } from '../../packages/cli/src/compose/command.js';

const root = join(import.meta.dirname, '../..');
const films = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])

directive @show(times: Int! = 1, as: String) repeatable on FIELD | QUERY

type Query {
  film(id: ID!, language: String): Film
  films(filter: FilmFilter, order: Order! = TITLE, first: Int): [Film!]!
  anything: [Anything]
}

interface Titled {
  title: String!
}

type Film implements Titled @key(fields: "id") {
  id: ID!
  title: String!
  year: Int
  tags: [String!]!
  poster: Poster
}

type Poster {
  url: String!
}

type Song {
  id: ID!
}

union Anything = Film | Song

enum Order {
  TITLE
  YEAR
}

input FilmFilter {
  title: String
  year: Int! = 2000
}
`;

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'changes-'));
  put('films/schema.graphql', films);
  put(
    'supergraph.yaml',
    `federation_version: =2.14.4
subgraphs:
  films:
    routing_url: http://127.0.0.1:4001/films
    schema:
      file: ./films/schema.graphql
`,
  );
  await run();
  expect(await run('--release')).toMatchObject({ code: 0, complained: '' });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (path: string, content: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const get = (path: string) => readFileSync(join(folder, path), 'utf8');

const run = async (...args: readonly string[]) => {
  const printed: string[] = [];
  const complained: string[] = [];
  const code = await compose(['--config', 'supergraph.yaml', '--output', 'supergraph.graphql', ...args], {
    variables: {},
    folder,
    print: (text) => void printed.push(text),
    complain: (text) => void complained.push(text),
  });
  return { code, printed: printed.join('\n'), complained: complained.join('\n') };
};

/** Changes the schema, composes it, and answers what the check says. */
const checkAfter = async (...edits: readonly (readonly [before: string, after: string])[]) => {
  let sdl = films;
  for (const [before, after] of edits) {
    expect(sdl).toContain(before);
    sdl = sdl.replace(before, after);
  }
  put('films/schema.graphql', sdl);
  expect(await run()).toMatchObject({ code: 0, complained: '' });
  return run('--check');
};
const accept = (code: string, element: string) =>
  put(
    'supergraph.changes.yaml',
    `# What is accepted.\n\n- code: ${code}\n  element: ${element}\n  reason: No client asks for it.\n`,
  );

type Edit = readonly [before: string, after: string];
const breaking: Readonly<Record<string, readonly [code: string, element: string, ...Edit[]]>> = {
  'a removed field': ['FIELD_REMOVED', 'Film.year', ['  year: Int\n', '']],
  'a removed type': [
    'TYPE_REMOVED',
    'Song',
    ['type Song {\n  id: ID!\n}\n', ''],
    ['union Anything = Film | Song', 'union Anything = Film | Poster'],
  ],
  'a removed enum value': ['ENUM_VALUE_REMOVED', 'Order.YEAR', ['  YEAR\n', '']],
  'a field that may be null now': [
    'FIELD_TYPE_CHANGED',
    'Film.title: String',
    ['title: String!\n  year', 'title: String\n  year'],
    ['interface Titled {\n  title: String!', 'interface Titled {\n  title: String'],
  ],
  'an item that may be null now': ['FIELD_TYPE_CHANGED', 'Film.tags: [String]!', ['[String!]!', '[String]!']],
  'a field of another type': [
    'FIELD_TYPE_CHANGED',
    'Film.year: String',
    ['  year: Int\n', '  year: String\n'],
  ],
  'an argument made required': [
    'FIELD_ARGUMENT_TYPE_CHANGED',
    'Query.film(language: String!)',
    ['language: String', 'language: String!'],
  ],
  'a required argument added': [
    'FIELD_ARGUMENT_ADDED',
    'Query.film(region:)',
    ['language: String', 'language: String, region: ID!'],
  ],
  'a removed argument': ['FIELD_ARGUMENT_REMOVED', 'Query.film(language:)', [', language: String', '']],
  'an argument that lost its default': [
    'FIELD_ARGUMENT_DEFAULT_CHANGED',
    'Query.films(order:)',
    ['Order! = TITLE', 'Order!'],
  ],
  'an input field made required': [
    'INPUT_FIELD_TYPE_CHANGED',
    'FilmFilter.title: String!',
    ['  title: String\n  year: Int! = 2000', '  title: String!\n  year: Int! = 2000'],
  ],
  'a required input field added': [
    'INPUT_FIELD_ADDED',
    'FilmFilter.region',
    ['  year: Int! = 2000', '  year: Int! = 2000\n  region: ID!'],
  ],
  'an input field that lost its default': [
    'INPUT_FIELD_DEFAULT_VALUE_CHANGED',
    'FilmFilter.year',
    ['Int! = 2000', 'Int!'],
  ],
  'a removed input field': [
    'INPUT_FIELD_REMOVED',
    'FilmFilter.title',
    ['  title: String\n  year: Int! = 2000', '  year: Int! = 2000'],
  ],
  'a removed union member': ['UNION_MEMBER_REMOVED', 'Anything | Song', ['Film | Song', 'Film']],
  'a removed interface': [
    'OBJECT_TYPE_INTERFACE_REMOVED',
    'Film implements Titled',
    ['Film implements Titled', 'Film'],
  ],
  'a type of another kind': [
    'TYPE_KIND_CHANGED',
    'Poster',
    ['type Poster {\n  url: String!\n}', 'scalar Poster'],
  ],
  'a removed directive': [
    'DIRECTIVE_REMOVED',
    '@show',
    ['directive @show(times: Int! = 1, as: String) repeatable on FIELD | QUERY\n', ''],
  ],
  'a place where a directive may not stand any more': [
    'DIRECTIVE_LOCATION_REMOVED',
    '@show on QUERY',
    ['FIELD | QUERY', 'FIELD'],
  ],
  'a directive that may stand there once only': [
    'DIRECTIVE_REPEATABLE_REMOVED',
    '@show',
    [' repeatable on', ' on'],
  ],
  "a directive's argument that lost its default": [
    'DIRECTIVE_ARGUMENT_DEFAULT_VALUE_CHANGED',
    '@show(times:)',
    ['Int! = 1,', 'Int!,'],
  ],
  "a directive's argument made required": [
    'DIRECTIVE_ARGUMENT_TYPE_CHANGED',
    '@show(as: String!)',
    ['as: String)', 'as: String!)'],
  ],
};

const safe: Readonly<Record<string, readonly Edit[]>> = {
  'a field added': [['  year: Int\n', '  year: Int\n  minutes: Int\n']],
  'a type added': [
    ['  year: Int\n', '  year: Int\n  trailer: Trailer\n'],
    ['type Song {', 'type Trailer {\n  url: String\n}\n\ntype Song {'],
  ],
  'an optional argument added': [['language: String', 'language: String, region: ID']],
  'an argument with a default added': [['language: String', 'language: String, region: ID! = "any"']],
  'an optional input field added': [['  year: Int! = 2000', '  year: Int! = 2000\n  region: ID']],
  'an input field with a default added': [
    ['  year: Int! = 2000', '  year: Int! = 2000\n  region: ID! = "any"'],
  ],
  'a field that is never null any more': [['  year: Int\n', '  year: Int!\n']],
  'an argument made optional': [['film(id: ID!', 'film(id: ID']],
  'a field deprecated': [['  year: Int\n', '  year: Int @deprecated(reason: "Ask for released.")\n']],
  'a description': [['type Song {', '"What is sung."\ntype Song {']],
  'an enum value added': [['  YEAR\n', '  YEAR\n  RATING\n']],
  'a union member added': [['Film | Song', 'Film | Song | Poster']],
  'an interface added': [['type Song {', 'interface Known {\n  id: ID!\n}\n\ntype Song implements Known {']],
  'another default': [['Order! = TITLE', 'Order! = YEAR']],
  "another default of a directive's argument": [['Int! = 1,', 'Int! = 2,']],
  'another order of everything': [
    ['  id: ID!\n  title: String!\n', '  title: String!\n  id: ID!\n'],
    ['  TITLE\n  YEAR', '  YEAR\n  TITLE'],
  ],
};

describe('a change that breaks clients', () => {
  it.each(Object.entries(breaking))(
    'a change that breaks clients is refused by name, and passes if it is accepted: %s',
    async (_, [code, element, ...edits]) => {
      const { code: exit, complained } = await checkAfter(...edits);
      expect(exit).toBe(1);
      expect(complained).toMatch(/^\d+ changes? breaks? clients of published\.graphql:\n/);
      expect(complained).toContain(`\n  ${element}  ${code}\n`);
      expect(complained).toMatch(/ {4}clients: .+\n {4}instead: .+/);
      expect(complained).not.toContain('undefined');
      // With the quotes that Prettier requires.
      expect(complained).not.toContain('element: "');

      // The check accepts the entry that it prints, once there is a reason.
      const entries = [...complained.matchAll(/ {6}- code: .+\n {8}element: .+\n {8}reason: .+/g)].join('\n');
      put('supergraph.changes.yaml', entries);
      expect(await run('--check')).toMatchObject({
        code: 1,
        complained: expect.stringContaining('needs code, element and reason'),
      });
      put('supergraph.changes.yaml', entries.replaceAll('# why', 'why'));
      expect(await run('--check')).toMatchObject({
        code: 0,
        complained: '',
        printed: expect.stringContaining('breaks, except as accepted'),
      });
    },
  );

  it('all changes that break clients are printed at once', async () => {
    const { complained } = await checkAfter(['  year: Int\n', ''], ['  YEAR\n', ''], ['Film | Song', 'Film']);
    expect(complained).toContain('3 changes break clients');
    for (const element of ['Film.year', 'Order.YEAR', 'Anything | Song'])
      expect(complained).toContain(element);
  });

  it('a change that breaks clients is printed, but not refused, while composing', async () => {
    put('films/schema.graphql', films.replace('  year: Int\n', '  minutes: Int\n'));
    const { code, printed } = await run();
    expect(code).toBe(0);
    expect(printed).toContain('2 changes since published.graphql');
    expect(printed).toMatch(
      / {2}breaking {3}Film\.year {2}FIELD_REMOVED: .+\n {2}safe {7}Film\.minutes {2}FIELD_ADDED/,
    );
  });

  it('a change that breaks clients is accepted by its own code and element only', async () => {
    for (const [code, element] of [
      ['FIELD_REMOVED', 'Film.poster'],
      ['FIELD_TYPE_CHANGED', 'Film.year'],
    ] as const) {
      accept(code, element);
      const { code: exit, complained } = await checkAfter(['  year: Int\n', '']);
      expect(exit).toBe(1);
      expect(complained).toContain('Film.year  FIELD_REMOVED');
      expect(complained).toContain(`accepts ${code} of ${element}, which no longer occurs: remove the entry`);
    }
  });

  it('a further change of the same field needs an acceptance of its own', async () => {
    const entry =
      "- code: FIELD_TYPE_CHANGED\n  element: 'Film.tags: [String]!'\n  reason: All clients skip nulls.\n";
    put('supergraph.changes.yaml', entry);
    expect(await checkAfter(['[String!]!', '[String]!'])).toMatchObject({ code: 0, complained: '' });
    const { code, complained } = await checkAfter(['[String!]!', 'Int']);
    expect(code).toBe(1);
    expect(complained).toContain('Film.tags: Int  FIELD_TYPE_CHANGED');
    expect(complained).toContain('Film.tags: [String]!, which no longer occurs: remove the entry');
  });

  it('a change that breaks clients is not accepted without a reason', async () => {
    put('supergraph.changes.yaml', '- code: FIELD_REMOVED\n  element: Film.year\n  reason: ""\n');
    const { code, complained } = await checkAfter(['  year: Int\n', '']);
    expect(code).toBe(1);
    expect(complained).toContain('needs code, element and reason');
  });

  it('@inaccessible on a field breaks clients, unless the field never was visible', async () => {
    const link = ['"@shareable"]', '"@shareable", "@inaccessible"]'] as const;
    expect((await checkAfter(link, ['  year: Int\n', '  year: Int @inaccessible\n'])).complained).toContain(
      'Film.year  FIELD_REMOVED',
    );
    const hidden = ['  year: Int\n', '  year: Int\n  secret: Int @inaccessible\n'] as const;
    expect(await checkAfter(link, hidden)).toMatchObject({ code: 0 });
    expect(get('supergraph.graphql')).toContain('secret');
    await run('--release');
    expect(get('published.graphql')).not.toContain('secret');
    expect(await checkAfter()).toMatchObject({ code: 0 });
  });
});

describe('a change that breaks no client', () => {
  it.each(Object.entries(safe))('a change that breaks no client passes: %s', async (_, edits) => {
    expect(await checkAfter(...edits)).toEqual({
      code: 0,
      complained: '',
      printed: 'supergraph.graphql is up to date\nno client of published.graphql breaks',
    });
  });
});

describe('releasing', () => {
  it('compose --release updates the published schema and empties the accepted list except for its comment', async () => {
    await checkAfter(['  year: Int\n', '']);
    accept('FIELD_REMOVED', 'Film.year');
    expect(await run('--release')).toMatchObject({
      code: 0,
      printed: expect.stringContaining('wrote published.graphql\nemptied supergraph.changes.yaml'),
    });
    expect(get('published.graphql')).not.toContain('year: Int\n');
    expect(get('supergraph.changes.yaml')).toBe('# What is accepted.\n');
    expect(await run('--check')).toMatchObject({ code: 0, complained: '' });
    expect(await run('--release')).toMatchObject({
      printed: expect.stringContaining('published.graphql is up to date'),
    });
  });

  it('compose --release refuses what the check refuses, and does not change the published schema', async () => {
    const before = get('published.graphql');
    await checkAfter(['  year: Int\n', '']);
    expect(await run('--release')).toMatchObject({
      code: 1,
      complained: expect.stringContaining('Film.year  FIELD_REMOVED'),
    });
    put('films/schema.graphql', films.replace('Song {', 'Song {\n  text: String'));
    expect(await run('--release')).toMatchObject({
      code: 1,
      complained: expect.stringContaining('is stale'),
    });
    expect(get('published.graphql')).toBe(before);
  });

  it('compose --release cannot be combined with another mode', async () => {
    expect(await run('--release', '--check')).toMatchObject({
      code: 1,
      complained: '--check and --release cannot be combined.',
    });
  });

  it('a published schema that was edited by hand is refused', async () => {
    const released = get('published.graphql');
    await checkAfter(['  year: Int\n', '']);
    put('published.graphql', released.replace('  year: Int\n', ''));
    const edited = {
      code: 1,
      complained: expect.stringMatching(
        /^published\.graphql was changed since .+ --release wrote it.+Restore it from git/,
      ),
    };
    for (const mode of ['--check', '--release']) expect(await run(mode)).toMatchObject(edited);
    // Line ends and layout do not count as an edit.
    put('published.graphql', released.replaceAll('\n', '\r\n'));
    expect(await checkAfter()).toMatchObject({ code: 0, complained: '' });
  });

  it('a published schema with a syntax error is refused with the location of the error', async () => {
    put('published.graphql', `${get('published.graphql')}\ntype {\n`);
    expect(await run('--check')).toMatchObject({
      code: 1,
      complained: expect.stringMatching(
        /^published\.graphql:\d+:6 is not a valid schema: .+\n.+Restore it from git/,
      ),
    });
  });
});

describe('saved operations', () => {
  it('saved operations are validated, and each fault is printed with file and line', async () => {
    put('examples/good.graphql', 'query Good {\n  film(id: 1) {\n    title\n  }\n}\n');
    put('examples/more/bad.graphql', 'query Bad {\n  film(id: 1) {\n    titel\n    length\n  }\n}\n');
    put('examples/cut.graphql', 'query Cut {\n  film(id: 1) {\n');
    put('examples/node_modules/other/x.graphql', 'type');
    const { code, complained } = await run('--check');
    expect(code).toBe(1);
    expect(complained).toContain('3 faults in the saved operations');
    expect(complained).toContain('examples/more/bad.graphql:3:5  Cannot query field "titel" on type "Film"');
    expect(complained).toContain('examples/more/bad.graphql:4:5  Cannot query field "length"');
    expect(complained).toContain('examples/cut.graphql:3:1  Syntax Error');
    expect(complained).not.toContain('good.graphql');
    rmSync(join(folder, 'examples/more'), { recursive: true });
    rmSync(join(folder, 'examples/cut.graphql'));
    expect(await run('--check')).toMatchObject({
      code: 0,
      printed: expect.stringContaining('operations in examples are valid: 1 files'),
    });
  });

  it('saved operations cannot use what clients do not see', async () => {
    put('examples/inside.graphql', '{ _service { sdl } film(id: 1) { __typename } }\n');
    expect((await run('--check')).complained).toContain(
      'examples/inside.graphql:1:3  Cannot query field "_service"',
    );
  });
});

describe('our own graph', () => {
  it('our own graph is checked against its published schema, wherever the supergraph is written', async () => {
    expect(existsSync(join(root, 'gateway/published.graphql'))).toBe(true);
    const said: string[] = [];
    const say = (text: string) => void said.push(text);
    const elsewhere = ['--output', 'elsewhere.graphql'];
    expect(await compose(elsewhere, { folder, variables: {}, print: say, complain: say })).toBe(0);
    expect(
      await compose([...elsewhere, '--check'], { folder, variables: {}, print: say, complain: say }),
    ).toBe(0);
    expect(said.join('\n')).toMatch(/no client of \S+\/gateway\/published\.graphql breaks/);
  });
});
