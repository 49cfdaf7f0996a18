import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from '@jest/globals';
import { bearerOf } from '@cinegraph/testing/tokens';
import { ownMessage, poisons } from '../../faults/messages.js';
import { know } from '../../support/known-movies.js';
import { section, type Tools } from './attack.js';
import { publishPoisons } from './poison-events.js';

const editor = bearerOf('editor', { scopes: ['catalogue:write'] });
const viewer = bearerOf('reviewer');

/** Texts that would be a part of a statement or of a pattern if they were not bound or escaped. */
const injections = [
  `'`,
  `' OR '1'='1`,
  `'; DROP TABLE movie; --`,
  `") UNION SELECT version() --`,
  '%',
  '_',
  '\\',
  '$1',
  '${jndi:x}',
  'a\u0000b',
  '%%%%',
];

const fitting = { status: [200, 400], fetches: true };

/** Registers the cases 83 to 95. */
export const data = (): void =>
  section('Injection and data plane', (test) => {
    test(83, 'a variable, an alias or a key named __proto__ changes nothing', async ({ attack }) => {
      await attack(
        { body: '{"query":"{ __typename }","variables":{"__proto__":{"polluted":1}}}' },
        { status: 400 },
      );
      await attack(
        { body: '{"query":"{ __typename }","__proto__":{"query":"{ me { login } }"}}' },
        { status: 400 },
      );
      await attack(
        { body: '{"query":"{ __typename }","variables":{"constructor":{"prototype":{"polluted":1}}}}' },
        { status: [200, 400] },
      );
      await attack(
        { query: 'query ($__proto__: ID!) { movie(id: $__proto__) { id } }', variables: {} },
        { status: 400 },
      );
      const { text } = await attack(
        { query: '{ __proto__: __typename constructor: __typename }' },
        { status: [200, 400] },
      );
      expect(text).not.toContain('polluted');
      const after = await attack(
        { query: '{ topRated { __proto__: totalCount toString: totalCount } }' },
        fitting,
      );
      expect(after.status).toBe(200);
    });

    test(85, 'SQL in a filter, an order, an id or a cursor is taken literally', async (tools) => {
      await injectSql(tools);
    });

    test(86, 'an operator object in the position of a scalar is refused', async ({ attack }) => {
      for (const value of [{ not: null }, { contains: '' }, { equals: 'x' }, ['x', 'y'], { $ne: 1 }]) {
        for (const [query, variables] of [
          ['query ($v: ID!) { movie(id: $v) { id } }', { v: value }],
          ['query ($v: String!) { search(text: $v) { hits { node { __typename } } } }', { v: value }],
          ['query ($v: MovieFilter) { movies(filter: $v) { totalCount } }', { v: { title: value } }],
          ['query ($v: MovieFilter) { movies(filter: $v) { totalCount } }', { v: { genre: value } }],
        ] as const)
          await attack({ query, variables }, { status: 400, code: 'BAD_USER_INPUT' });
      }
      await attack({ query: '{ movie(id: { not: null }) { id } }' }, { status: 400 });
    });

    test(
      88,
      'a cursor that is forged, tampered with or of another list is refused',
      async ({ ask, attack }) => {
        for (let n = 0; n < 3; n += 1) await createMovie(ask, `Cursor ${n}`);
        const { data: page } = await ask({ query: '{ movies(first: 1) { pageInfo { endCursor } } }' });
        const { movies } = page as { movies: { pageInfo: { endCursor: string } } };
        const cursor = movies.pageInfo.endCursor;
        const changed = `${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`;
        const forged = [
          'x',
          '',
          Buffer.from('["m"]').toString('base64'),
          changed,
          `${cursor}=`,
          'A'.repeat(5_000),
        ];
        for (const after of forged) {
          await attack(
            {
              query: 'query ($after: String) { movies(after: $after) { nodes { id } } }',
              variables: { after },
            },
            { ...fitting, code: 'BAD_USER_INPUT' },
          );
        }
        for (const query of [
          'query ($after: String) { topRated(after: $after) { nodes { id } } }',
          'query ($after: String) { movies(sort: TITLE_DESC, after: $after) { nodes { id } } }',
          'query ($after: String) { movies(filter: { title: "c" }, after: $after) { nodes { id } } }',
        ])
          await attack({ query, variables: { after: cursor } }, { ...fitting, code: 'BAD_USER_INPUT' });
      },
    );

    test(90, 'HTML in a review is returned as JSON with nosniff', async ({ ask, attack, stack }) => {
      const movieId = await createMovie(ask, 'Reviewed');
      await know(stack.subgraphs.rating.pool, [movieId]);
      const review = '<script>alert(1)</script><img src=x onerror=alert(1)>';
      const { headers, data: rated } = await attack(
        {
          query:
            'mutation ($id: ID!, $review: String) { submitRating(movieId: $id, score: 7, review: $review) { rating { review } } }',
          variables: { id: movieId, review },
          headers: viewer,
        },
        { status: 200, fetches: true },
      );
      expect(rated).toEqual({ submitRating: { rating: { review } } });
      expect(headers['content-type']).toMatch(/^application\/(graphql-response\+)?json/);
      expect(headers['x-content-type-options']).toBe('nosniff');
    });

    test(91, 'an address in posterUrl is never requested', async (tools) => {
      await sendPosters(tools);
    });

    test(93, 'a rating event that is not valid becomes a dead letter without effect', async (tools) => {
      const bad = poisons().filter(
        ({ code }) => !['MOVIE_DELETED', 'FORGED_EVENT', 'UNSIGNED_EVENT'].includes(code),
      );
      await publishPoisons(tools, bad);
    });

    test(
      94,
      'a rating event with a forged or missing producer identity becomes a dead letter',
      async (tools) => {
        const event = { movieId: 'corpus:event', viewerId: 'cinema:forged', score: 5, version: 1 };
        await publishPoisons(tools, [
          { message: ownMessage(event, { signer: 'stranger' }), code: 'FORGED_EVENT' },
          { message: ownMessage(event, { signer: null }), code: 'UNSIGNED_EVENT' },
          { message: ownMessage({ ...event, viewerId: 'ann' }), code: 'FOREIGN_VIEWER' },
        ]);
      },
    );

    test(95, 'a search text full of wildcards takes no time, and others are served', async ({ attack }) => {
      for (const text of [
        '%'.repeat(200),
        '%_'.repeat(100),
        'a%b%c%d%'.repeat(25),
        '*'.repeat(200),
        '(a+)+$'.repeat(30),
        'a '.repeat(100),
        ':*&|!'.repeat(40),
        '\u0301'.repeat(200),
      ]) {
        await attack(
          {
            query: 'query ($text: String!) { search(text: $text) { hits { node { __typename } } } }',
            variables: { text },
          },
          { status: 200, fetches: true },
        );
        await attack(
          {
            query: 'query ($f: MovieFilter) { movies(filter: $f) { totalCount } }',
            variables: { f: { title: text.slice(0, 100) } },
          },
          { status: 200, fetches: true },
        );
      }
    });
  });

const createMovie = async (ask: Tools['ask'], title: string): Promise<string> => {
  const { data: created } = await ask({
    query: 'mutation ($title: String!) { createMovie(input: { title: $title }) { movie { id } } }',
    variables: { title },
    headers: editor,
  });
  return (created as { createMovie: { movie: { id: string } } }).createMovie.movie.id;
};

/** Sends each injection in each argument of text, and compares the tables before and after. */
const injectSql = async ({ ask, attack, stack }: Tools) => {
  const { pool } = stack.subgraphs.metadata;
  await createMovie(ask, 'Plain');
  const percent = await createMovie(ask, '100% plain');
  const count = async () => (await pool.query<object>('SELECT count(*) FROM movie')).rows[0];
  const before = await count();
  const queries = [
    'query ($v: ID!) { movie(id: $v) { id } }',
    'query ($v: ID!) { node(id: $v) { id } }',
    'query ($v: ID!) { person(id: $v) { id } }',
    'query ($v: ID!) { genre(id: $v) { id } }',
    'query ($v: String!) { movieByExternalId(source: $v, value: $v) { id } }',
    'query ($v: String!) { movies(filter: { title: $v }) { nodes { id } } }',
    'query ($v: ID!) { movies(filter: { genre: $v }) { nodes { id } } }',
    'query ($v: ID!) { movies(filter: { person: $v }) { nodes { id } } }',
    'query ($v: String!) { movies(after: $v) { nodes { id } } }',
    'query ($v: String!) { movies(last: 3, before: $v) { nodes { id } } }',
    'query ($v: String!) { topRated(after: $v) { nodes { id } } }',
    'query ($v: String!) { search(text: $v) { hits { node { __typename } } } }',
  ];
  for (const query of queries) {
    for (const v of injections) {
      const { text, errors } = await attack({ query, variables: { v } }, fitting);
      for (const { extensions } of errors) expect(extensions['code']).toBe('BAD_USER_INPUT');
      if (errors.length === 0 && text.includes('"id"')) {
        // Only the percent sign is a part of a title.
        expect([v, text.match(/"id":"[^"]*"/g)]).toEqual(['%', [`"id":"${percent}"`]]);
      }
    }
  }
  // An order is an enum, so that no text gets so far.
  for (const sort of [...injections, 'TITLE_ASC; DROP TABLE movie']) {
    await attack(
      { query: 'query ($sort: MovieSort!) { movies(sort: $sort) { totalCount } }', variables: { sort } },
      { status: 400 },
    );
  }
  expect(await count()).toEqual(before);
};

/** Sends addresses that a server must not request, among them one of this test's listener. */
const sendPosters = async ({ attack }: Tools) => {
  let requests = 0;
  const listener = createServer((_request, response) => {
    requests += 1;
    response.end();
  });
  listener.on('connection', () => (requests += 1));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const query = 'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { posterUrl } } }';
  for (const posterUrl of [
    `http://127.0.0.1:${port}/`,
    `https://127.0.0.1:${port}/`,
    'http://169.254.169.254/latest/meta-data/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    `https://redirect.example/?to=http://127.0.0.1:${port}`,
  ]) {
    const { errors } = await attack(
      { query, variables: { input: { title: 'Poster', posterUrl } }, headers: editor },
      { status: 200, fetches: true },
    );
    if (!posterUrl.startsWith('https:')) expect(errors[0]?.extensions['code']).toBe('BAD_USER_INPUT');
  }
  expect(requests).toBe(0);
  listener.close();
  listener.closeAllConnections();
};
