import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';
import { parseDockerfile, readDockerfile, root } from '../support/dockerfile.js';
import { parseDockerignore } from '../support/image.js';
import { rules } from './dockerfile-rules.js';

const text = readFileSync(`${root}Dockerfile`, 'utf8');
const shipped = readDockerfile();
const image = shipped.stages.at(-1)?.instructions ?? [];
const said = (keyword: string) => image.find((one) => one.keyword === keyword);

/** The folders that the build argument SERVICE may name. */
const services = [
  'gateway',
  ...readSupergraphYaml(`${root}supergraph.yaml`, {}).subgraphs.map(({ schemaPath = '' }) =>
    dirname(schemaPath).slice(root.length),
  ),
];

describe('the Dockerfile', () => {
  it.each(rules)('$rule: $asks', ({ breaks }) => {
    expect(breaks(shipped)).toBe(false);
  });

  it.each(rules)('would not get away with a breach of $rule', ({ breaks, broken }) => {
    expect(breaks(parseDockerfile(`${text}\n${broken}\n`))).toBe(true);
  });

  it('is on Node 24, in one place', () => {
    const outside = shipped.stages.filter(({ from }) => !shipped.stages.some(({ name }) => name === from));
    expect(outside.map(({ from }) => from)).toEqual([expect.stringMatching(/^node:24\.\d+\.\d+-/)]);
  });

  it.each(services)(
    'starts %s by the very command of its start script, so that node gets the signals',
    (folder) => {
      const { scripts } = JSON.parse(readFileSync(`${root}${folder}/package.json`, 'utf8')) as {
        scripts: Record<string, string>;
      };
      expect(`exec ${said('CMD')?.words?.join(' ')}`).toBe(scripts['start']);
      expect(said('ENTRYPOINT')).toBeUndefined();
    },
  );

  it('asks readiness with node itself, on the port that the process has', () => {
    const [program, flag, script] = said('HEALTHCHECK')?.words ?? [];
    expect([program, flag]).toEqual(['node', '-e']);
    expect(script).toMatch(/process\.env\.PORT.*\/health\/ready/);
  });

  it('listens on all addresses of the container, in production', () => {
    expect(said('ENV')?.text.split(' ')).toEqual(
      expect.arrayContaining(['NODE_ENV=production', 'HOST=0.0.0.0']),
    );
  });

  it('names no service: a new one needs no line in it', () => {
    const names = services.flatMap((folder) => [folder, folder.split('/').at(-1) ?? '']);
    const lines = shipped.instructions
      .map((one) => `${one.keyword} ${one.text}`)
      .filter((line) => !line.startsWith('RUN npm run build'));
    expect(lines.filter((line) => names.some((name) => line.includes(name)))).toEqual([]);
  });
});

describe('.dockerignore', () => {
  const isIgnored = parseDockerignore(readFileSync(`${root}.dockerignore`, 'utf8'));

  it.each([
    ...['.git', '.env', '.env.production', '.data/secrets.json', 'node_modules/x/index.js', 'tls/server.key'],
    ...[
      'gateway/node_modules/x',
      'packages/service/dist/env.js',
      'subgraphs/rating/src/generated/resolvers.ts',
    ],
    ...[
      'packages/service/dist/tsconfig.tsbuildinfo',
      'subgraphs/rating/test/world.ts',
      'rejects/a.jsonl',
      'build.log',
    ],
  ])('keeps %s from the builder', (path) => {
    expect(isIgnored(path)).toBe(true);
  });

  it.each([
    ...[
      'package.json',
      'package-lock.json',
      'turbo.json',
      'tsconfig.base.json',
      'gateway/supergraph.graphql',
    ],
    ...['packages/cli/generate.mjs', 'prisma/rating/migrations/20261121000000_init/migration.sql'],
    ...['subgraphs/rating/schema.graphql', 'packages/testing/src/server.ts'],
  ])('lets the builder have %s', (path) => {
    expect(isIgnored(path)).toBe(false);
  });
});
