import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createReleasedFolder, filmsSchema, type Edit } from '../support/compose-folder.js';

let folder: Awaited<ReturnType<typeof createReleasedFolder>>;
beforeEach(async () => {
  folder = await createReleasedFolder();
});
afterEach(() => folder.remove());

const breaking: Readonly<Record<string, readonly [code: string, element: string, ...Edit[]]>> = {
  'a removed field': ['FIELD_REMOVED', 'Film.year', ['  year: Int\n', '']],
  'a removed type': [
    'TYPE_REMOVED',
    'Song',
    ['type Song {\n  id: ID!\n  label: String\n}\n', ''],
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
  'a field that is never null any more beside a nullable one of the same name': [
    'FIELD_TYPE_CONFLICTS',
    'Film.label: String!',
    ['  label: String\n', '  label: String!\n'],
  ],
  'an input that accepts exactly one field from now on': [
    'INPUT_ONE_OF_ADDED',
    'FilmKey',
    ['input FilmKey {', 'input FilmKey @oneOf {'],
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
  'fields of all types of a union that are never null any more': [
    ['  label: String\n}\n\nunion', '  label: String!\n}\n\nunion'],
    ['  label: String\n  poster', '  label: String!\n  poster'],
  ],
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
      const { code: exit, complained } = await folder.checkAfter(...edits);
      expect(exit).toBe(1);
      expect(complained).toMatch(/^\d+ changes? breaks? clients of published\.graphql:\n/);
      expect(complained).toContain(`\n  ${element}  ${code}\n`);
      expect(complained).toMatch(/ {4}clients: .+\n {4}instead: .+/);
      expect(complained).not.toContain('undefined');
      // With the quotes that Prettier requires.
      expect(complained).not.toContain('element: "');

      // The check accepts the entry that it prints, once there is a reason.
      const entries = [...complained.matchAll(/ {6}- code: .+\n {8}element: .+\n {8}reason: .+/g)].join('\n');
      folder.put('supergraph.changes.yaml', entries);
      expect(await folder.run('--check')).toMatchObject({
        code: 1,
        complained: expect.stringContaining('needs code, element and reason'),
      });
      folder.put('supergraph.changes.yaml', entries.replaceAll('# why', 'why'));
      expect(await folder.run('--check')).toMatchObject({
        code: 0,
        complained: '',
        printed: expect.stringContaining('breaks, except as accepted'),
      });
    },
  );

  it('all changes that break clients are printed at once', async () => {
    const { complained } = await folder.checkAfter(
      ['  year: Int\n', ''],
      ['  YEAR\n', ''],
      ['Film | Song', 'Film'],
    );
    expect(complained).toContain('3 changes break clients');
    for (const element of ['Film.year', 'Order.YEAR', 'Anything | Song'])
      expect(complained).toContain(element);
  });

  it('a change that breaks clients is printed, but not refused, while composing', async () => {
    folder.put('films/schema.graphql', filmsSchema.replace('  year: Int\n', '  minutes: Int\n'));
    const { code, printed } = await folder.run();
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
      folder.accept(code, element);
      const { code: exit, complained } = await folder.checkAfter(['  year: Int\n', '']);
      expect(exit).toBe(1);
      expect(complained).toContain('Film.year  FIELD_REMOVED');
      expect(complained).toContain(`accepts ${code} of ${element}, which no longer occurs: remove the entry`);
    }
  });

  it('a further change of the same field needs an acceptance of its own', async () => {
    const entry =
      "- code: FIELD_TYPE_CHANGED\n  element: 'Film.tags: [String]!'\n  reason: All clients skip nulls.\n";
    folder.put('supergraph.changes.yaml', entry);
    expect(await folder.checkAfter(['[String!]!', '[String]!'])).toMatchObject({ code: 0, complained: '' });
    const { code, complained } = await folder.checkAfter(['[String!]!', 'Int']);
    expect(code).toBe(1);
    expect(complained).toContain('Film.tags: Int  FIELD_TYPE_CHANGED');
    expect(complained).toContain('Film.tags: [String]!, which no longer occurs: remove the entry');
  });

  it('a change that breaks clients is not accepted without a reason', async () => {
    folder.put('supergraph.changes.yaml', '- code: FIELD_REMOVED\n  element: Film.year\n  reason: ""\n');
    const { code, complained } = await folder.checkAfter(['  year: Int\n', '']);
    expect(code).toBe(1);
    expect(complained).toContain('needs code, element and reason');
  });

  it('@inaccessible on a field breaks clients, unless the field never was visible', async () => {
    const link = ['"@shareable"]', '"@shareable", "@inaccessible"]'] as const;
    expect(
      (await folder.checkAfter(link, ['  year: Int\n', '  year: Int @inaccessible\n'])).complained,
    ).toContain('Film.year  FIELD_REMOVED');
    const hidden = ['  year: Int\n', '  year: Int\n  secret: Int @inaccessible\n'] as const;
    expect(await folder.checkAfter(link, hidden)).toMatchObject({ code: 0 });
    expect(folder.get('supergraph.graphql')).toContain('secret');
    await folder.run('--release');
    expect(folder.get('published.graphql')).not.toContain('secret');
    expect(await folder.checkAfter()).toMatchObject({ code: 0 });
  });
});

describe('a change that breaks no client', () => {
  it.each(Object.entries(safe))('a change that breaks no client passes: %s', async (_, edits) => {
    expect(await folder.checkAfter(...edits)).toEqual({
      code: 0,
      complained: '',
      printed: 'supergraph.graphql is up to date\nno client of published.graphql breaks',
    });
  });
});
