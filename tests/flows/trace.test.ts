import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { testPool } from '@cinegraph/testing/database';
import { askGraphQL, testSubgraphKey } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { bearerOf } from '@cinegraph/testing/tokens';
import { startCollector, type ReceivedSpan } from '../support/collector.js';
import { know } from '../support/known-movies.js';
import { askRating, createServices, tracesTo } from '../support/services.js';
import type { ServiceProcess } from '../support/service-process.js';

let services: Awaited<ReturnType<typeof createServices>>;
beforeAll(async () => {
  services = await createServices();
});
afterAll(() => services.remove());

describe('the trace of a request through gateway and subgraphs', () => {
  const clientTrace = '0af7651916cd43dd8448eb211c80319c';
  const clientSpan = 'b7ad6b7169203331';
  const traceparent = `00-${clientTrace}-${clientSpan}-01`;
  const secrets = [
    'secretLiteral',
    'secretVariable',
    'secretToken',
    'secretViewer',
    'secretCookie',
    'secretState',
    '424242',
  ];

  let collector: Awaited<ReturnType<typeof startCollector>>;
  let graph: { metadata: ServiceProcess; rating: ServiceProcess; gateway: ServiceProcess };
  let url: string;
  beforeAll(async () => {
    collector = await startCollector();
    const env = tracesTo(collector.url);
    const subgraphs = {
      metadata: services.run('subgraphs/metadata', env),
      rating: services.run('subgraphs/rating', env),
    };
    const gateway = services.run('gateway', {
      ...env,
      SUBGRAPH_URL_METADATA: `${await subgraphs.metadata.url}/graphql`,
      SUBGRAPH_URL_RATING: `${await subgraphs.rating.url}/graphql`,
      // If the client's header were kept beside the one of telemetry, the trace would be cut in two.
      FORWARD_HEADERS: 'traceparent,authorization',
    });
    graph = { ...subgraphs, gateway };
    url = `${await gateway.url}/graphql`;
    const pool = testPool(services.databases.metadata.url);
    await pool.query(
      `INSERT INTO movie (id, title, version, created_at, updated_at)
       SELECT 'traced:' || n, 'Traced ' || n, 1, now(), now() FROM generate_series(1, 5) n`,
    );
    await pool.end();
  });
  afterAll(async () => {
    await Promise.all(Object.values(graph).map(services.stop));
    await collector.stop();
  });

  const named = (service: string, name: string | RegExp, traceId: string) =>
    collector.spans.filter(
      (span) =>
        span.service === service &&
        span.traceId === traceId &&
        (typeof name === 'string' ? span.name === name : name.test(span.name)),
    );
  /** Returns a span and its ancestors in the trace, upwards. */
  const lineage = (span: ReceivedSpan): readonly ReceivedSpan[] => {
    const parent = collector.spans.find(
      ({ spanId, traceId }) => spanId === span.parentSpanId && traceId === span.traceId,
    );
    return parent ? [span, ...lineage(parent)] : [span];
  };

  it("one trace goes from the client's traceparent through the gateway and both subgraphs to their SQL", async () => {
    const answer = await askGraphQL(
      url,
      { query: 'query Traced { movies(first: 5) { nodes { title aggregatedRating { count } } } }' },
      { traceparent },
    );
    expect(answer.errors).toBeUndefined();
    await until(
      () =>
        named('gateway', 'POST /graphql', clientTrace).length === 1 &&
        ['metadata', 'rating'].every((name) => named(name, 'POST /graphql', clientTrace).length === 1),
      'the server spans of all three services have arrived',
    );
    const [server] = named('gateway', 'POST /graphql', clientTrace);
    expect(server).toMatchObject({ parentSpanId: clientSpan, kind: 2 });
    const fetches = named('gateway', 'POST', clientTrace);
    expect(fetches).toHaveLength(2);
    for (const [index, subgraph] of (['metadata', 'rating'] as const).entries()) {
      const [served] = named(subgraph, 'POST /graphql', clientTrace);
      const fetch = fetches.find(({ spanId }) => spanId === served!.parentSpanId);
      expect({ subgraph, fetch }).toMatchObject({ fetch: { kind: 3 } });
      expect(lineage(fetch!).at(-1)).toBe(server);
      expect(lineage(fetch!).map(({ attributes }) => attributes['service'])).toContain(subgraph);
      const statements = named(subgraph, /^pg\.query/, clientTrace);
      expect({ index, statements }).toMatchObject({ statements: [{ kind: 3 }] });
      expect(lineage(statements[0]!)).toContain(served);
      expect(statements[0]!.attributes['db.query.text']).toMatch(/^SELECT .* FROM /);
    }
    expect(collector.paths).toEqual(new Set(['POST /v1/traces application/json']));
  });

  it("one trace goes from a mutation through metadata's outbox and the broker to rating's consumer", async () => {
    const trace = '1bf7651916cd43dd8448eb211c80319d';
    const answer = await askGraphQL(
      url,
      { query: 'mutation Told { createMovie(input: { title: "Told" }) { movie { id } } }' },
      { traceparent: `00-${trace}-${clientSpan}-01`, ...bearerOf('ann', { scopes: ['catalogue:write'] }) },
    );
    expect(answer).toMatchObject({ data: { createMovie: { movie: { id: expect.any(String) } } } });
    const takenIn = () => named('rating', 'process metadata.movies.v1', trace);
    const published = () => named('metadata', 'publish metadata.movies.v1', trace);
    await until(
      () =>
        [takenIn(), published(), named('gateway', 'POST /graphql', trace)].every(
          ({ length }) => length === 1,
        ),
      'all spans have arrived',
    );
    await until(() => lineage(takenIn()[0]!).at(-1)!.service === 'gateway', 'the spans between have arrived');
    // Kind 4 is a producer, 5 a consumer.
    expect(takenIn()).toMatchObject([{ kind: 5, parentSpanId: published()[0]!.spanId }]);
    expect(published()).toMatchObject([{ kind: 4 }]);
    const above = lineage(takenIn()[0]!);
    expect(above.at(-1)).toMatchObject({ name: 'POST /graphql', parentSpanId: clientSpan });
    expect(above.map(({ service }) => service)).toEqual(
      expect.arrayContaining(['rating', 'metadata', 'gateway']),
    );
    expect(
      above.filter(({ service, name }) => service === 'metadata' && name === 'POST /graphql'),
    ).toHaveLength(1);
    const { id } = (answer.data?.['createMovie'] as { movie: { id: string } }).movie;
    const pool = testPool(services.databases.rating.url);
    const { rows } = await pool.query('SELECT version::int, deleted FROM known_movie WHERE id = $1', [id]);
    await pool.end();
    expect(rows).toEqual([{ version: 1, deleted: false }]);
  });

  it('a request without a traceparent gets a trace with an id of its own', async () => {
    const before = new Set(collector.spans.map(({ traceId }) => traceId));
    await askGraphQL(url, { query: 'query Own { movie(id: "traced:1") { aggregatedRating { count } } }' });
    const fresh = () =>
      new Set(collector.spans.map(({ traceId }) => traceId).filter((id) => !before.has(id)));
    await until(
      () =>
        ['gateway', 'rating'].every((name) =>
          [...fresh()].some((id) => named(name, 'POST /graphql', id).length > 0),
        ),
      'rating and gateway have sent their spans',
    );
    expect(fresh().size).toBe(1);
  });

  it('a trace has no variable, literal, header or error message, whatever went wrong', async () => {
    const { authorization } = bearerOf('secretViewer');
    const headers = {
      traceparent,
      tracestate: 'vendor=secretState',
      cookie: 'session=secretCookie',
      'user-agent': 'secretToken',
    };
    const queries: readonly [query: string, variables?: Record<string, unknown>][] = [
      [
        'mutation Leak($id: ID!, $review: String) { submitRating(movieId: $id, score: 7, review: $review) { rating { score } } }',
        { id: 'secretVariable', review: 'secretVariable' },
      ],
      [
        'mutation Leak { submitRating(movieId: "secretLiteral", score: 3, review: "secretLiteral") { rating { score } } }',
      ],
      ['{ movies(first: 1, filter: { title: "secretLiteral" }) { nodes { title } } }'],
      ['{ movies(first: 424242) { nodes { title } } }'],
      ['{ movie(id: "secretLiteral" { title } }'],
      ['{ movie(id: "x", secretLiteral: 1) { secretLiteral } }'],
      ['query ($id: ID!) { movie(id: $id) { title } }', { id: { secretVariable: 'secretVariable' } }],
    ];
    const ratings = testPool(services.databases.rating.url);
    await know(ratings, ['secretVariable', 'secretLiteral']);
    await ratings.end();
    for (const [query, variables = {}] of queries)
      await askGraphQL(url, { query, variables }, { ...headers, authorization });
    // No valid token: it is refused with 401.
    await askGraphQL(url, { query: '{ __typename }' }, { ...headers, authorization: 'Bearer secretToken' });
    const search = new URLSearchParams({
      query: 'query ($id: ID!) { movie(id: $id) { title } }',
      variables: JSON.stringify({ id: 'secretVariable' }),
    });
    await fetch(`${url}?${search.toString()}`, {
      headers: { ...headers, authorization, 'apollo-require-preflight': 'yes' },
    });
    await fetch(url.replace('graphql', 'secretToken'), { headers });
    await until(
      () => named('gateway', 'GET unknown', clientTrace).length === 1,
      'the spans of the last request have arrived',
    );
    await until(
      () => named('rating', /^mutation/, clientTrace).length === 2,
      'the spans of both mutations have arrived',
    );
    const sentText = collector.text();
    const token = authorization.slice('Bearer '.length);
    for (const secret of [...secrets, testSubgraphKey, ...token.split('.')]) {
      expect({ secret, isSent: sentText.includes(secret) }).toEqual({ secret, isSent: false });
    }
    // They did leave the client and reach the database.
    const pool = testPool(services.databases.rating.url);
    const { rows } = await pool.query('SELECT review FROM rating ORDER BY review');
    await pool.end();
    expect(rows).toEqual([{ review: 'secretLiteral' }, { review: 'secretVariable' }]);
  });

  it('the log lines of a request have the ids of its trace', async () => {
    const pool = testPool(services.databases.rating.url);
    await pool.query('ALTER TABLE aggregated_rating RENAME TO away');
    const { errors } = await askGraphQL(
      url,
      { query: '{ movie(id: "traced:1") { aggregatedRating { count } } }' },
      { traceparent },
    );
    await pool.query('ALTER TABLE away RENAME TO aggregated_rating');
    await pool.end();
    expect(errors).toHaveLength(1);
    const faults = graph.rating
      .written()
      .stdout.split('\n')
      .filter((line) => line.includes('aggregated_rating'));
    expect(faults).toHaveLength(1);
    const { trace_id, span_id } = JSON.parse(faults[0]!) as { trace_id: string; span_id: string };
    expect(trace_id).toBe(clientTrace);
    await until(
      () => collector.spans.some(({ spanId }) => spanId === span_id),
      'the span of the log line has arrived',
    );
    const ready = graph.rating
      .written()
      .stdout.split('\n')
      .find((line) => line.includes('"ready"'));
    expect(ready).not.toContain('trace_id');
  });

  it('a health check has no trace, and queued spans are sent when the service stops', async () => {
    const service = services.run('subgraphs/rating', {
      ...tracesTo(collector.url),
      OTEL_BSP_SCHEDULE_DELAY: '600000',
      OTEL_SERVICE_NAME: 'flushed',
    });
    const at = await service.url;
    expect((await fetch(`${at}/health/ready`)).status).toBe(200);
    expect((await askRating(at, '{ __typename }')).data).toEqual({ __typename: 'Query' });
    expect((await services.stop(service)).code).toBe(0);
    const spans = collector.spans.filter(({ service }) => service === 'flushed');
    // The schemas that are parsed at the start have no trace either: a trace begins with a request.
    expect(spans.filter(({ parentSpanId }) => !parentSpanId).map(({ name }) => name)).toEqual([
      'POST /graphql',
    ]);
  });
});
