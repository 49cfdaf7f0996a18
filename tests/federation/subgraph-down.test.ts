import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '@cinegraph/gateway/config';
import { startGateway } from '@cinegraph/gateway/server';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { askGraphQL, testSubgraphKey, type GraphQLAnswer } from '@cinegraph/testing/subgraph';
import {
  buildASTSchema,
  getNamedType,
  getOperationAST,
  isCompositeType,
  isObjectType,
  Kind,
  parse,
  type DocumentNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { bearerOf, testIssuer } from '@cinegraph/testing/tokens';
import { startTestGraph, type TestGraph } from '../support/graph.js';
import { know } from '../support/known-movies.js';

const root = join(import.meta.dirname, '../..');
const supergraphPath = join(root, 'gateway/supergraph.graphql');
const names = ['metadata', 'rating'] as const;

const examples = readdirSync(join(root, 'examples'))
  .filter((name) => name.endsWith('.graphql'))
  .map((name) => {
    const text = readFileSync(join(root, 'examples', name), 'utf8');
    const json = (label: string) =>
      JSON.parse(new RegExp(`^# ${label}: (.+)$`, 'm').exec(text)?.[1] ?? '{}') as Record<string, string>;
    return { name, text, document: parse(text), variables: json('Variables') };
  });

let graph: TestGraph;
let gateways: Record<(typeof names)[number], Awaited<ReturnType<typeof startGateway>>>;

/** The viewer of the saved operations, who may write all of them. */
const ann = bearerOf('ann', { scopes: ['catalogue:write'] });

/** Starts a gateway that cannot reach one subgraph: nothing listens on port 1. */
const startWithout = (down: string) => {
  const urlOf = (name: (typeof names)[number]) =>
    `${name === down ? 'http://127.0.0.1:1' : graph.subgraphs[name].url}/graphql`;
  return startGateway(
    readConfig({
      NODE_ENV: 'test',
      PORT: '0',
      SUPERGRAPH_PATH: supergraphPath,
      SUBGRAPH_KEY: testSubgraphKey,
      JWT_ISSUERS: testIssuer,
      SUBGRAPH_URL_METADATA: urlOf('metadata'),
      SUBGRAPH_URL_RATING: urlOf('rating'),
    }),
    silentLogger,
  );
};

beforeAll(async () => {
  graph = await startTestGraph();
  gateways = { metadata: await startWithout('metadata'), rating: await startWithout('rating') };
  const editor = bearerOf('editor', { scopes: ['catalogue:write'] });
  const { errors } = await graph.ask(
    `mutation { upsertMovie(id: "vega:1", input: { title: "Shawshank", releaseDate: "2010-05-01", genres: ["Drama"],
       languages: ["en"], cast: [{ person: { name: "Ada" }, character: "Eve" }],
       externalIds: [{ source: "tmdb", value: "7" }, { source: "imdb", value: "tt9999999" }] }) { movie { id } } }`,
    {},
    editor,
  );
  expect(errors).toBeUndefined();
  await graph.subgraphs.metadata.pool.query(
    `INSERT INTO person (id, name) VALUES ('person:vega:christopher-nolan', 'Christopher Nolan');
     INSERT INTO credit (movie_id, person_id, role, position) VALUES ('vega:1', 'person:vega:christopher-nolan', 'DIRECTOR', 1)`,
  );
  await know(graph.subgraphs.rating.pool, ['vega:1']);
  for (const viewer of ['ann', 'bob']) {
    await graph.ask(
      'mutation { submitRating(movieId: "vega:1", score: 8, review: "Good.") { rating { score } } }',
      {},
      bearerOf(viewer),
    );
  }
});
afterAll(async () => {
  await Promise.all(Object.values(gateways).map((gateway) => gateway.stop()));
  await graph.stop();
});

/** The subgraphs' own schemas say who can resolve a field. */
const schemas = Object.fromEntries(
  names.map((name) => {
    const sdl = readFileSync(join(root, 'subgraphs', name, 'schema.graphql'), 'utf8');
    const document = parse(sdl);
    const definitions = document.definitions.filter(({ kind }) => kind !== Kind.SCHEMA_EXTENSION);
    // Without a definition of federation's directives.
    return [name, buildASTSchema({ ...document, definitions }, { assumeValidSDL: true })];
  }),
) as Record<(typeof names)[number], GraphQLSchema>;

/**
 * Returns what of a complete response must be left when the subgraph `down` cannot be reached: each field
 * that another subgraph resolves, with all fields above it.
 */
const withoutFieldsOf = (
  down: (typeof names)[number],
  document: DocumentNode,
  complete: unknown,
): unknown => {
  const operation = getOperationAST(document);
  const alive = names.filter((name) => name !== down).map((name) => schemas[name]);
  const fieldIn = (type: string, field: string) =>
    alive
      .map((schema) => schema.getType(type))
      .flatMap((found) => (isObjectType(found) ? [found.getFields()[field]] : []))
      .find((found) => found !== undefined);

  const visit = (type: string, { selections }: SelectionSetNode, value: unknown): unknown => {
    if (Array.isArray(value))
      return value.map((item) => visit(type, { kind: Kind.SELECTION_SET, selections }, item));
    if (value === null) return null;
    const before = value as Record<string, unknown>;
    const concrete = typeof before['__typename'] === 'string' ? before['__typename'] : type;
    const left: Record<string, unknown> = {};
    for (const selection of selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition?.name.value ?? concrete;
        if (on === concrete) Object.assign(left, visit(concrete, selection.selectionSet, value));
      } else if (selection.kind === Kind.FIELD) {
        const name = selection.name.value;
        const field = fieldIn(concrete, name);
        const inner = field && getNamedType(field.type);
        if (name === '__typename') left[name] = before[name];
        else if (!inner) left[name] = null;
        else if (selection.selectionSet && isCompositeType(inner))
          left[name] = visit(inner.name, selection.selectionSet, before[name]);
        else left[name] = before[name];
      }
    }
    return left;
  };
  return operation && visit('Query', operation.selectionSet, complete);
};

const valueAt = (data: unknown, path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown> | null)?.[step] ?? null,
    data,
  );

const expectNamedFields = ({ data, errors = [] }: GraphQLAnswer) => {
  for (const { path = [], extensions } of errors) {
    expect(extensions?.['code']).toBe('SUBGRAPH_UNAVAILABLE');
    expect(path).not.toEqual([]);
    expect(valueAt(data, path)).toBeNull();
  }
};

describe.each(names)('while %s is down', (down) => {
  const queries = examples.filter(({ document }) => getOperationAST(document)?.operation === 'query');
  const mutations = examples.filter((one) => !queries.includes(one));

  it.each(queries)(
    '$name loses only its fields, and the errors name them',
    async ({ text, document, ...rest }) => {
      const complete = await graph.ask(text, rest.variables, ann);
      expect(complete.errors).toBeUndefined();
      const answer = await askGraphQL(
        `${gateways[down].url}/graphql`,
        { query: text, variables: rest.variables },
        ann,
      );

      expect(answer.status).toBe(200);
      const expected = withoutFieldsOf(down, document, complete.data);
      expect(answer.data).toEqual(expected);
      expectNamedFields(answer);
      expect((answer.errors ?? []).length > 0).toBe(
        JSON.stringify(expected) !== JSON.stringify(complete.data),
      );
    },
  );

  it.each(mutations)('$name returns null with an error that names the field, or succeeds', async (one) => {
    const answer = await askGraphQL(
      `${gateways[down].url}/graphql`,
      { query: one.text, variables: one.variables },
      ann,
    );

    expect(answer.status).toBe(200);
    const codes = (answer.errors ?? []).map(({ path, extensions }) => [path?.[0], extensions?.['code']]);
    const [field] = Object.keys(answer.data ?? {});
    const isOfMetadata = (field ?? '').includes('Movie');
    if (isOfMetadata === (down === 'metadata')) {
      expect(answer.data).toEqual({ [field ?? '']: null });
      expect(codes).toEqual([[field, 'SUBGRAPH_UNAVAILABLE']]);
    } else if (!isOfMetadata) {
      // What was written is answered; only the movie's title cannot be read.
      expect(answer.data).toMatchObject({
        [field ?? '']: { movie: { title: null, aggregatedRating: { count: expect.any(Number) } } },
      });
    }
  });

  it('root fields of both subgraphs in one operation fail one by one', async () => {
    const query = `{ movie(id: "vega:1") { title } topRated(first: 1) { nodes { id } } genres(first: 1) { id }
      movies(first: 1) { totalCount } search(text: "shaw") { hasMore } myRatings(first: 1) { totalCount } }`;
    const answer = await askGraphQL(`${gateways[down].url}/graphql`, { query }, bearerOf('ann'));

    const ofRating = ['topRated', 'myRatings'];
    const failed = Object.entries(answer.data ?? {}).flatMap(([name, value]) =>
      value === null ? [name] : [],
    );
    expect(failed.sort()).toEqual(
      Object.keys(answer.data ?? {})
        .filter((name) => ofRating.includes(name) === (down === 'rating'))
        .sort(),
    );
    expect(answer.errors?.map(({ path }) => path?.[0]).sort()).toEqual(failed);
  });
});

describe('one bad argument', () => {
  it.each([
    ['genres(first: -1) { id }', 'genres'],
    ['movies(first: 101) { totalCount }', 'movies'],
    ['search(text: " ") { hasMore }', 'search'],
    ['topRated(first: -1) { nodes { id } }', 'topRated'],
    ['myRatings(after: "?") { totalCount }', 'myRatings'],
  ])('%s costs that root field only', async (field, name) => {
    const { data, errors } = await graph.ask(
      `{ movie(id: "vega:1") { title } ${field} }`,
      {},
      bearerOf('ann'),
    );

    expect(data).toEqual({ movie: { title: 'Shawshank' }, [name]: null });
    expect(errors?.map(({ path, extensions }) => [path, extensions?.['code']])).toEqual([
      [[name], 'BAD_USER_INPUT'],
    ]);
  });
});
