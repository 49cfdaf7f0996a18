import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  buildClientSchema,
  getIntrospectionQuery,
  isInputObjectType,
  type IntrospectionQuery,
} from 'graphql';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { startStubSubgraph, type StubSubgraph } from './support/stub-subgraph.js';
import { askAt, compose, createTestLog } from './support/world.js';

const typeDefs = `
  extend schema
    @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@composeDirective"])
    @link(url: "https://spec.graphql.org/oneOf/v1.0", import: ["@oneOf"])
    @composeDirective(name: "@oneOf")
  directive @oneOf on INPUT_OBJECT
  type Query { item(by: By!): String }
  input By @oneOf { id: ID title: String }`;

let stub: StubSubgraph;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let folder: string;
beforeAll(async () => {
  stub = await startStubSubgraph({
    name: 'items',
    typeDefs,
    resolvers: { Query: { item: (_: unknown, { by }: { by: unknown }) => JSON.stringify(by) } },
  });
  folder = await mkdtemp(path.join(tmpdir(), 'gateway-'));
  const SUPERGRAPH_PATH = path.join(folder, 'supergraph.graphql');
  await writeFile(SUPERGRAPH_PATH, compose([stub]));
  gateway = await startGateway(
    readConfig({ NODE_ENV: 'test', PORT: '0', SUPERGRAPH_PATH }),
    createTestLog().logger,
  );
});
afterAll(async () => {
  await gateway.stop();
  await stub.stop();
  await rm(folder, { recursive: true, force: true });
});

const ask = (query: string, variables: Record<string, unknown> = {}) =>
  askAt(gateway.url, query, { variables });

describe('@oneOf of a supergraph', () => {
  it('exactly one field of the input is accepted, as a literal and as a variable', async () => {
    const query = 'query ($by: By!) { item(by: $by) }';

    expect((await ask('{ item(by: { id: "1" }) }')).body).toEqual({ data: { item: '{"id":"1"}' } });
    expect((await ask(query, { by: { title: 'x' } })).body).toEqual({ data: { item: '{"title":"x"}' } });
    for (const literal of ['{}', '{ id: "1", title: "x" }', '{ id: null }']) {
      const { status, body } = await ask(`{ item(by: ${literal}) }`);
      expect([status, body.errors?.[0]?.extensions['code']]).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
    }
    for (const by of [{}, { id: '1', title: 'x' }, { id: null }]) {
      const { status, body } = await ask(query, { by });
      expect([status, body.errors?.[0]?.extensions['code']]).toEqual([400, 'BAD_USER_INPUT']);
    }
    expect(stub.seen).toHaveLength(2);
  });

  it('introspection shows isOneOf, alone and beside other fields, through fragments', async () => {
    const { body } = await ask(getIntrospectionQuery({ oneOf: true }));
    const type = buildClientSchema(body.data as unknown as IntrospectionQuery).getType('By');
    expect(body.errors).toBeUndefined();
    expect(isInputObjectType(type) && type.isOneOf).toBe(true);

    const mixed = await ask(
      `query ($name: String!, $no: Boolean!) { ...F item(by: { id: "1" }) ... @include(if: $no) { s: __schema { queryType { name } } } }
       fragment F on Query { __typename by: __type(name: $name) { ...T } } fragment T on __Type { isOneOf }`,
      { name: 'By', no: false },
    );
    expect(mixed.body).toEqual({
      data: { __typename: 'Query', by: { isOneOf: true }, item: '{"id":"1"}' },
    });
  });
});
