import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema, getIntrospectionQuery, parse, validate, type DocumentNode } from 'graphql';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { createTestLog } from './support/world.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const supergraphPath = join(root, 'gateway/supergraph.graphql');
const schema = buildSchema(readFileSync(join(root, 'gateway/published.graphql'), 'utf8'));

let gateway: Awaited<ReturnType<typeof startGateway>>;
beforeAll(async () => {
  // Nothing listens on port 1: an operation that passes the limits is answered with SUBGRAPH_UNAVAILABLE.
  const nowhere = 'http://127.0.0.1:1/graphql';
  gateway = await startGateway(
    readConfig({
      NODE_ENV: 'test',
      PORT: '0',
      SUPERGRAPH_PATH: supergraphPath,
      SUBGRAPH_URL_METADATA: nowhere,
      SUBGRAPH_URL_RATING: nowhere,
      // All of this is one client.
      BUDGET_COST_PER_MINUTE: String(readConfig({}).budgets.cost?.perMinute),
    }),
    createTestLog().logger,
  );
});
afterAll(() => gateway.stop());

const ask = async (query: string, variables: unknown = {}) => {
  const response = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, text: await response.text() };
};

/** Returns all files below a folder, without installed and generated ones. */
const filesBelow = (folder: string, extension: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return ['node_modules', 'dist', 'generated'].includes(entry.name) ? [] : filesBelow(path, extension);
    return path.endsWith(extension) ? [path] : [];
  });

const documentOf = (text: string): DocumentNode | undefined => {
  try {
    const document = parse(text);
    return validate(schema, document).length === 0 ? document : undefined;
  } catch {
    return undefined;
  }
};

/** What a type refers to, as deep as any tool asks for. */
const typeReference = `fragment TypeRef on __Type { kind name ${'ofType { kind name '.repeat(9)}${'}'.repeat(9)} }`;

const inputValue =
  'fragment Input on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }';

/** The queries with which tools read a schema. */
const introspection: Readonly<Record<string, string>> = {
  'graphql-js': getIntrospectionQuery(),
  'graphql-js with all options': getIntrospectionQuery({
    descriptions: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
  }),
  GraphiQL: getIntrospectionQuery({ schemaDescription: true, inputValueDeprecation: true }),
  'Apollo Sandbox': `query IntrospectionQuery { __schema { description queryType { name } mutationType { name }
    subscriptionType { name } types { ...Full } directives { name description isRepeatable locations
    args(includeDeprecated: true) { ...Input } } } }
    fragment Full on __Type { kind name description specifiedByURL fields(includeDeprecated: true) { name description
    args(includeDeprecated: true) { ...Input } type { ...TypeRef } isDeprecated deprecationReason }
    inputFields(includeDeprecated: true) { ...Input } interfaces { ...TypeRef } enumValues(includeDeprecated: true) {
    name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } } ${inputValue} ${typeReference}`,
  'gql.tada': `query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name }
    types { kind name specifiedByURL fields(includeDeprecated: true) { name isDeprecated
    args(includeDeprecated: true) { name type { ...TypeRef } defaultValue } type { ...TypeRef } }
    interfaces { ...TypeRef } possibleTypes { ...TypeRef } enumValues(includeDeprecated: true) { name }
    inputFields(includeDeprecated: true) { name type { ...TypeRef } defaultValue } } } } ${typeReference}`,
};

/** A page of Relay: connections with cursors and type names at each level, through fragments. */
const relayPage = `query Page($first: Int = 20, $after: String) { movies(first: $first, after: $after) { ...List } }
  fragment List on MovieConnection { edges { cursor node { __typename id ...Card ...Credits } }
    pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
  fragment Card on Movie { id title releaseYear genres { id name } aggregatedRating { average count histogram { score count } } }
  fragment Credits on Movie { id directors { ...Person } cast { character person { ...Person } } }
  fragment Person on Person { __typename id name filmography(first: 3) { edges { cursor node { movie { __typename id title } } } } }`;

describe('the limits of operations', () => {
  it.each(Object.entries(introspection))('let %s read the schema', async (_tool, query) => {
    const { status, text } = await ask(query);
    expect(status).toBe(200);
    expect(text).toContain('"__schema":{');
    expect(text).not.toContain('"errors"');
  });

  it('let a page of Relay pass', async () => {
    expect((await ask(relayPage)).text).toContain('SUBGRAPH_UNAVAILABLE');
  });

  it('let every operation of examples/ pass', async () => {
    const files = filesBelow(join(root, 'examples'), '.graphql').filter((file) => !file.includes('/src/'));
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      const variables = /^# Variables: (.*)$/m.exec(text)?.[1] ?? '{}';
      expect(`${file} ${(await ask(text, JSON.parse(variables))).text}`).not.toMatch(
        /OPERATION_TOO_COMPLEX|BAD_USER_INPUT|RATE_LIMITED/,
      );
    }
  });

  it('let every operation of tests/, with its benchmarks, and of docs/ pass', async () => {
    // The tests of subgraphs send what they must refuse, too.
    const folders = ['tests', 'docs', 'examples'].map((name) => join(root, name));
    const files = folders.flatMap((folder) =>
      ['.ts', '.mjs', '.md'].flatMap((extension) => filesBelow(folder, extension)),
    );
    const operations = new Set(
      files
        .flatMap((file) => [
          ...readFileSync(file, 'utf8').matchAll(/[`'"]\s*((?:query|mutation|\{)[^`'"]*\})\s*[`'"]/g),
        ])
        .flatMap(([, text]) => (text !== undefined && documentOf(text) ? [text] : [])),
    );
    expect(operations.size).toBeGreaterThan(15);
    const refused: string[] = [];
    for (const operation of operations) {
      if (/OPERATION_TOO_COMPLEX|RATE_LIMITED/.test((await ask(operation)).text)) refused.push(operation);
    }
    expect(refused).toEqual([]);
  });

  it('let a client load fifty pages at once', async () => {
    const pages = await Promise.all(Array.from({ length: 50 }, () => ask(relayPage)));
    expect(pages.filter(({ text }) => text.includes('RATE_LIMITED'))).toEqual([]);
  });
});
