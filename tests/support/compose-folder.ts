import { expect } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compose } from '../../packages/cli/src/compose/command.js';

/** Creates a temporary folder in which `npm run compose` can be run without a process. */
export const createComposeFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'compose-'));
  return {
    path: folder,
    put: (path: string, content: string): void => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    },
    get: (path: string): string => readFileSync(join(folder, path), 'utf8'),
    remove: (path = ''): void => rmSync(join(folder, path), { recursive: true, force: true }),

    /** Runs the command with these arguments and returns its exit code and what it prints and complains. */
    compose: async (args: readonly string[], variables: Readonly<Record<string, string>> = {}) => {
      const printed: string[] = [];
      const complained: string[] = [];
      const code = await compose(args, {
        variables,
        folder,
        print: (text) => void printed.push(text),
        complain: (text) => void complained.push(text),
      });
      return { code, printed: printed.join('\n'), complained: complained.join('\n') };
    },
  };
};

/** A schema with something of each kind that a client can use. */
export const filmsSchema = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])

directive @show(times: Int! = 1, as: String) repeatable on FIELD | QUERY

type Query {
  film(id: ID!, language: String): Film
  films(filter: FilmFilter, order: Order! = TITLE, first: Int): [Film!]!
  anything: [Anything]
  filmBy(key: FilmKey!): Film
}

interface Titled {
  title: String!
}

type Film implements Titled @key(fields: "id") {
  id: ID!
  title: String!
  year: Int
  tags: [String!]!
  label: String
  poster: Poster
}

type Poster {
  url: String!
}

type Song {
  id: ID!
  label: String
}

union Anything = Film | Song

enum Order {
  TITLE
  YEAR
}

input FilmKey {
  id: ID
  title: String
}

input FilmFilter {
  title: String
  year: Int! = 2000
}
`;

/** Creates a folder with a graph of one subgraph, `films`, which is composed and released. */
export const createReleasedFolder = async () => {
  const folder = createComposeFolder();
  folder.put('films/schema.graphql', filmsSchema);
  folder.put(
    'supergraph.yaml',
    `federation_version: =2.14.4
subgraphs:
  films:
    routing_url: http://127.0.0.1:4001/films
    schema:
      file: ./films/schema.graphql
`,
  );
  const run = (...args: readonly string[]) =>
    folder.compose(['--config', 'supergraph.yaml', '--output', 'supergraph.graphql', ...args]);
  await run();
  expect(await run('--release')).toMatchObject({ code: 0, complained: '' });
  return {
    ...folder,
    run,

    /** Changes the schema, composes it, and returns what the check says. */
    checkAfter: async (...edits: readonly Edit[]) => {
      let sdl = filmsSchema;
      for (const [before, after] of edits) {
        expect(sdl).toContain(before);
        sdl = sdl.replace(before, after);
      }
      folder.put('films/schema.graphql', sdl);
      expect(await run()).toMatchObject({ code: 0, complained: '' });
      return run('--check');
    },

    /** Accepts one breaking change. */
    accept: (code: string, element: string): void =>
      folder.put(
        'supergraph.changes.yaml',
        `# What is accepted.\n\n- code: ${code}\n  element: ${element}\n  reason: No client asks for it.\n`,
      ),
  };
};

/** A text of {@link filmsSchema} and what replaces it. */
export type Edit = readonly [before: string, after: string];
