import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kitCode } from '@cinegraph/kit/errors';
import { startTestSubgraph, type TestSubgraph } from '@cinegraph/kit/testing/subgraph';
import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Kind, parse, visit } from 'graphql';
import { codes } from '../src/codes.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
});
afterAll(() => subgraph.stop());

const schema = async () => parse(await readFile(metadata.schema, 'utf8'));

describe('the schema', () => {
  it('describes every type, field, argument and enum value', async () => {
    const bare: string[] = [];
    visit(await schema(), {
      enter: (node, _key, _parent, _path, ancestors) => {
        if (!('description' in node) && !node.kind.endsWith('Definition')) return;
        if (!node.kind.endsWith('Definition') || node.kind === Kind.OPERATION_DEFINITION) return;
        // The two root types need no description: their fields have one each.
        if (node.kind === Kind.OBJECT_TYPE_DEFINITION && ['Query', 'Mutation'].includes(node.name.value))
          return;
        if (!('description' in node) || node.description === undefined) {
          bare.push(
            [...ancestors, node]
              .flatMap((one) => ('name' in one && one.name ? one.name.value : []))
              .join('.'),
          );
        }
      },
    });
    expect(bare).toEqual([]);
  });

  it('lists as ErrorCode exactly the codes that the source refuses with', async () => {
    const listed = (await schema()).definitions.flatMap((definition) =>
      definition.kind === Kind.ENUM_TYPE_DEFINITION && definition.name.value === 'ErrorCode'
        ? (definition.values ?? []).map(({ name }) => name.value)
        : [],
    );
    // Metadata coalesces nothing, and so is never overloaded by its own count.
    const { overloaded: _never, ...ofKit } = kitCode;
    expect(listed.toSorted()).toEqual([...Object.values(codes), ...Object.values(ofKit)].toSorted());

    const folder = fileURLToPath(new URL('../src/', import.meta.url));
    const files = (await readdir(folder, { recursive: true })).filter(
      (name) => /(?<!\.test)\.ts$/.test(name) && !name.startsWith('generated'),
    );
    const source = (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
    const used = [...source.matchAll(/new Refusal\(\s*([^,\s]+)/g)].map(([, code]) => code);
    expect(used.length).toBeGreaterThan(8);
    expect(used.filter((code) => !/^(codes|kitCode)\.\w+$/.test(code ?? ''))).toEqual([]);
    for (const name of Object.keys(codes)) expect(source).toContain(`codes.${name}`);
  });
});

describe('the migrations', () => {
  it('make every table and column that the Prisma schema names', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: subgraph.databaseUrl }) });
    try {
      const found = await Promise.all([
        prisma.movie.findMany(),
        prisma.externalId.findMany(),
        prisma.externalRating.findMany(),
        prisma.person.findMany(),
        prisma.credit.findMany(),
        prisma.genre.findMany(),
        prisma.movieGenre.findMany(),
        prisma.sourceRecord.findMany(),
        prisma.idempotency.findMany(),
      ]);
      expect(found.every((rows) => rows.length === 0)).toBe(true);
    } finally {
      await prisma.$disconnect();
    }
  });
});
