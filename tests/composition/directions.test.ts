import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);
const config = join(root, '.dependency-cruiser.cjs');
const rules = (require(config) as { forbidden: { name: string; comment: string }[] }).forbidden;

/** A small house in which every import goes the right way: file -> what it imports. */
const house: Record<string, readonly string[]> = {
  'packages/service/src/refusal.ts': [],
  'packages/database/src/pool.ts': ['@cinegraph/service/refusal'],
  'packages/messaging/src/envelope.ts': ['@cinegraph/service/refusal'],
  'packages/messaging/src/broker.ts': ['kafkajs', '@cinegraph/database/pool'],
  'packages/subgraph/src/loader.ts': ['@cinegraph/messaging/broker', '@cinegraph/database/pool'],
  'packages/local/src/postgres.ts': ['@cinegraph/service/refusal'],
  'packages/testing/src/database.ts': ['@cinegraph/local/postgres', '@cinegraph/subgraph/loader'],
  'packages/events/src/rating.ts': ['@cinegraph/messaging/envelope'],
  'packages/cli/src/main.ts': ['@cinegraph/service/refusal', '@cinegraph/local/postgres'],
  'gateway/src/main.ts': ['@cinegraph/service/refusal'],
  'subgraphs/rating/src/main.ts': ['./subgraph.js'],
  'subgraphs/rating/src/subgraph.ts': [
    './resolvers/Movie.js',
    './loaders.js',
    './commands.js',
    '@prisma/adapter-pg',
  ],
  'subgraphs/rating/src/context.ts': [],
  'subgraphs/rating/src/generated/prisma/client.ts': [],
  'subgraphs/rating/src/resolvers/Movie.ts': ['../context.js', '../queries.js'],
  'subgraphs/rating/src/loaders.ts': ['./queries.js'],
  'subgraphs/rating/src/queries.ts': ['./generated/prisma/client.js'],
  'subgraphs/rating/src/commands.ts': [
    './rules.js',
    './queries.js',
    '@cinegraph/service/refusal',
    '@cinegraph/subgraph/loader',
  ],
  'subgraphs/rating/src/rules.ts': ['./models.js', '@cinegraph/events/rating', '@cinegraph/service/refusal'],
  'subgraphs/rating/src/rules.test.ts': ['./rules.js', '@cinegraph/testing/database'],
  'subgraphs/rating/src/models.ts': [],
  'subgraphs/rating/src/import/catalogue.ts': ['../commands.js'],
  'subgraphs/rating/src/consumers/ratings.ts': ['../commands.js', '../rules.js'],
  'subgraphs/rating/test/votes.test.ts': ['../src/subgraph.js'],
  'subgraphs/metadata/src/models.ts': [],
  'subgraphs/metadata/src/commands.ts': [],
  'subgraphs/metadata/src/generated/prisma/client.ts': [],
  'subgraphs/metadata/src/queries/movies.ts': ['../generated/prisma/client.js'],
  'subgraphs/metadata/src/sql/merge.ts': ['../generated/prisma/client.js'],
  'examples/src/main.ts': [],
  'tests/flows/rate.test.ts': ['../../gateway/src/main.js', '../../subgraphs/rating/src/main.js'],
};

/** Wrong imports: the rule that must catch it, the file, what it imports. */
const wrong: readonly (readonly [rule: string, file: string, imports: string])[] = [
  ['service-imports-only-its-layer', 'packages/service/src/wrong.ts', '@cinegraph/database/pool'],
  [
    'service-imports-only-its-layer',
    'packages/service/src/wrong-path.ts',
    '../../../subgraphs/rating/src/models.js',
  ],
  ['database-imports-only-its-layer', 'packages/database/src/wrong.ts', '@cinegraph/messaging/broker'],
  ['messaging-imports-only-its-layer', 'packages/messaging/src/wrong.ts', '@cinegraph/subgraph/loader'],
  ['messaging-imports-only-its-layer', 'packages/messaging/src/wrong-events.ts', '@cinegraph/events/rating'],
  ['subgraph-imports-only-its-layer', 'packages/subgraph/src/wrong.ts', '@cinegraph/local/postgres'],
  ['local-imports-only-its-layer', 'packages/local/src/wrong.ts', '@cinegraph/messaging/broker'],
  ['cli-imports-only-its-layer', 'packages/cli/src/wrong.ts', '../../../gateway/src/main.js'],
  ['cli-imports-only-its-layer', 'packages/cli/src/wrong-subgraph.ts', '@cinegraph/rating/import/catalogue'],
  ['events-imports-only-the-envelope', 'packages/events/src/wrong.ts', '@cinegraph/service/refusal'],
  ['events-imports-only-the-envelope', 'packages/events/src/wrong-broker.ts', 'kafkajs'],
  ['subgraph-never-imports-another', 'subgraphs/metadata/src/wrong.ts', '@cinegraph/rating/models'],
  [
    'subgraph-imports-only-its-layers',
    'subgraphs/rating/src/wrong-gateway.ts',
    '../../../gateway/src/main.js',
  ],
  ['subgraph-imports-only-its-layers', 'subgraphs/rating/src/wrong-local.ts', '@cinegraph/local/postgres'],
  ['gateway-imports-only-service', 'gateway/src/wrong.ts', '@cinegraph/rating/models'],
  ['gateway-imports-only-service', 'gateway/src/wrong-events.ts', '@cinegraph/events/rating'],
  ['gateway-imports-only-service', 'gateway/src/wrong-messaging.ts', '@cinegraph/messaging/broker'],
  ['examples-know-only-the-wire', 'examples/src/wrong.ts', '../../packages/service/src/refusal.js'],
  ['only-messaging-touches-kafka', 'subgraphs/rating/src/consumers/wrong.ts', 'kafkajs'],
  ['no-cycles', 'packages/service/src/wrong-cycle-back.ts', './wrong-cycle.js'],
  ['nobody-imports-main', 'subgraphs/rating/src/queries/wrong-main.ts', '../main.js'],
  ['resolvers-are-the-edge', 'subgraphs/rating/src/commands/wrong.ts', '../resolvers/Movie.js'],
  ['loaders-are-for-resolvers', 'subgraphs/rating/src/import/wrong.ts', '../loaders.js'],
  ['queries-only-read', 'subgraphs/rating/src/queries/wrong.ts', '../commands.js'],
  ['loaders-only-read', 'subgraphs/metadata/src/loaders.ts', './commands.js'],
  ['writes-come-from-outside', 'subgraphs/rating/src/commands/wrong-import.ts', '../import/catalogue.js'],
  [
    'consumers-and-importers-know-no-resolver',
    'subgraphs/rating/src/import/wrong-context.ts',
    '../context.js',
  ],
  ['rules-are-pure', 'subgraphs/rating/src/rules/wrong.ts', '../queries.js'],
  ['rules-are-pure', 'subgraphs/rating/src/rules/wrong-library.ts', 'node:fs'],
  ['only-data-code-touches-prisma', 'subgraphs/rating/src/scalars.ts', './generated/prisma/client.js'],
  ['only-data-code-touches-prisma', 'subgraphs/metadata/src/movie-list.ts', './generated/prisma/client.js'],
  ['resolvers-know-no-store', 'subgraphs/rating/src/resolvers/Wrong.ts', '../generated/prisma/client.js'],
  ['product-code-knows-no-tests', 'subgraphs/rating/src/wrong-test.ts', '@cinegraph/testing/database'],
  ['no-development-dependency-at-run-time', 'gateway/src/wrong-tool.ts', 'a-tool'],
  ['only-what-exists-and-is-declared', 'gateway/src/wrong-name.ts', 'never-installed'],
  ['only-what-exists-and-is-declared', 'gateway/src/wrong-path.ts', './nowhere.js'],
];

let folder: string;
const put = (path: string, content: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const putModule = (path: string, imports: readonly string[]) =>
  put(path, [...imports.map((name) => `import '${name}';`), 'export const here = 1;', ''].join('\n'));

/** What the lint step does, in the small house; answers `rule file` for every violation. */
const cruise = (): string[] => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
      ...[
        'packages',
        'gateway',
        'subgraphs',
        'examples',
        'tests',
        '--config',
        config,
        '--output-type',
        'json',
      ],
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  if (!stdout.startsWith('{')) throw new Error(`dependency-cruiser failed: ${stdout}${stderr}`);
  const report = JSON.parse(stdout) as {
    summary: { violations: { from: string; rule: { name: string } }[] };
  };
  return report.summary.violations.map(({ from, rule }) => `${rule.name} ${from}`);
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'directions-'));
  put('tsconfig.base.json', readFileSync(join(root, 'tsconfig.base.json'), 'utf8'));
  put('tsconfig.tests.json', readFileSync(join(root, 'tsconfig.tests.json'), 'utf8'));
  put('package.json', JSON.stringify({ workspaces: ['packages/*', 'gateway', 'subgraphs/*'] }));
  const dependencies = { kafkajs: '1.0.0', '@prisma/adapter-pg': '1.0.0' };
  for (const name of Object.keys({ ...dependencies, 'a-tool': '' })) {
    put(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
    put(`node_modules/${name}/index.js`, '');
  }
  mkdirSync(join(folder, 'node_modules/@cinegraph'), { recursive: true });
  for (const path of [
    ...['service', 'database', 'messaging', 'subgraph', 'local', 'testing', 'events', 'cli'].map(
      (name) => `packages/${name}`,
    ),
    'gateway',
    'subgraphs/rating',
    'subgraphs/metadata',
    'examples',
  ]) {
    const name = `@cinegraph/${path.split('/').at(-1) ?? ''}`;
    put(
      `${path}/package.json`,
      JSON.stringify({
        name,
        version: '1.0.0',
        type: 'module',
        exports: { './*': { 'cinegraph-source': './src/*.ts', default: './dist/*.js' } },
        dependencies: {
          ...dependencies,
          ...Object.fromEntries(
            ['service', 'database', 'messaging', 'subgraph', 'local', 'testing', 'events', 'rating'].map(
              (name) => [`@cinegraph/${name}`, '1'],
            ),
          ),
        },
        devDependencies: { 'a-tool': '1.0.0' },
      }),
    );
    symlinkSync(join(folder, path), join(folder, 'node_modules', name));
  }
  for (const [path, imports] of Object.entries(house)) putModule(path, imports);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('who may import whom', () => {
  it('lets right imports pass', () => {
    expect(cruise()).toEqual([]);
  });

  it('refuses every wrong import, each by its own rule', () => {
    for (const [, file, imports] of wrong) putModule(file, [imports]);
    putModule('packages/service/src/wrong-cycle.ts', ['./wrong-cycle-back.js']);
    const found = new Set(cruise());
    expect(
      wrong.map(([rule, file]) => `${rule} ${file}`).filter((violation) => !found.has(violation)),
    ).toEqual([]);
  });

  it('has a wrong import above for every rule, and a sentence with every rule', () => {
    expect(new Set(wrong.map(([rule]) => rule))).toEqual(new Set(rules.map(({ name }) => name)));
    for (const { comment } of rules) expect(comment).toMatch(/^.{30,}\.$/);
  });
});

describe('who may know what', () => {
  const domain = /\b(movies?|films?|rat(ed|ings?)|genres?)\b/i;
  const knows = (folder: string, words: RegExp): string[] =>
    (existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      : []
    )
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .filter((path) => words.test(readFileSync(join(root, folder, path), 'utf8')));

  it('leaves the shared packages and the gateway without a word of movies and ratings', () => {
    for (const name of ['service', 'database', 'messaging', 'subgraph', 'local', 'testing']) {
      expect(knows(`packages/${name}/src`, domain)).toEqual([]);
    }
    expect(knows('gateway/src', domain)).toEqual([]);
    expect(knows('subgraphs/rating/src', domain)).not.toEqual([]);
  });

  it('has no package that exports everything', () => {
    const open = ['packages', 'subgraphs', '.']
      .flatMap((folder) =>
        readdirSync(join(root, folder)).map((name) => join(root, folder, name, 'package.json')),
      )
      .filter((path) => existsSync(path) && !path.includes('node_modules'))
      .filter((path) => readFileSync(path, 'utf8').includes('"./*"'));
    expect(open).toEqual([]);
  });

  it('leaves contracts without a word of the broker', () => {
    expect(knows('packages/events/src', /kafka/i)).toEqual([]);
  });
});
