import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { refusalCode } from '@cinegraph/service/refusal';
import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Kind,
  parse,
  visit,
  type EnumValueDefinitionNode,
  type FieldDefinitionNode,
  type InputValueDefinitionNode,
  type TypeDefinitionNode,
} from 'graphql';
import { codes } from '../src/codes.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
});
afterAll(() => subgraph.stop());

type NamedDefinition =
  TypeDefinitionNode | EnumValueDefinitionNode | FieldDefinitionNode | InputValueDefinitionNode;

const schema = async () => parse(await readFile(metadata.schema, 'utf8'));

describe('the schema', () => {
  it('the schema describes every type, field, argument and enum value', async () => {
    const bare: string[] = [];
    // The two root types need no description, because each of their fields has one.
    const isRoot = ({ kind, name }: NamedDefinition) =>
      kind === Kind.OBJECT_TYPE_DEFINITION && ['Query', 'Mutation'].includes(name.value);
    const look = (node: NamedDefinition) => {
      if (node.description === undefined && !isRoot(node)) bare.push(node.name.value);
    };
    visit(await schema(), {
      ScalarTypeDefinition: look,
      ObjectTypeDefinition: look,
      InputObjectTypeDefinition: look,
      EnumTypeDefinition: look,
      EnumValueDefinition: look,
      FieldDefinition: look,
      InputValueDefinition: look,
    });
    expect(bare).toEqual([]);
  });

  it('ErrorCode lists exactly the codes of the refusals in the source', async () => {
    const listed = (await schema()).definitions.flatMap((definition) =>
      definition.kind === Kind.ENUM_TYPE_DEFINITION && definition.name.value === 'ErrorCode'
        ? (definition.values ?? []).map(({ name }) => name.value)
        : [],
    );
    // metadata has no write batcher, so it never refuses a request as OVERLOADED.
    const shared = Object.values(refusalCode).filter((code) => code !== refusalCode.overloaded);
    expect(listed.toSorted()).toEqual([...Object.values(codes), ...shared].toSorted());

    const folder = fileURLToPath(new URL('../src/', import.meta.url));
    const files = (await readdir(folder, { recursive: true })).filter(
      (name) => /(?<!\.test)\.ts$/.test(name) && !name.startsWith('generated'),
    );
    const source = (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
    const used = [...source.matchAll(/new Refusal\(\s*([^,\s]+)/g)].map(([, code]) => code);
    expect(used.length).toBeGreaterThan(8);
    expect(used.filter((code) => !/^(codes|refusalCode)\.\w+$/.test(code ?? ''))).toEqual([]);
    for (const name of Object.keys(codes)) expect(source).toContain(`codes.${name}`);
  });
});

describe('the migrations', () => {
  it('the migrations create every table and column of the Prisma schema', async () => {
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
