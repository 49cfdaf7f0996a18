import { expect } from '@jest/globals';
import { section, type Attack, type Tools } from './attack.js';

const isInvalid = { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' };

/** Registers the cases 50 to 64. */
export const leaks = (): void =>
  section('Information leaks', (test) => {
    test(50, '__schema is refused', async ({ attack }) => {
      await attack({ query: '{ __schema { types { name } } }' }, isInvalid);
    });

    test(51, '__type under an alias in a fragment is refused', async ({ attack }) => {
      const query = '{ ...F } fragment F on Query { harmless: __type(name: "Movie") { fields { name } } }';
      await attack({ query }, isInvalid);
    });

    test(52, 'circular introspection is refused', async ({ attack }) => {
      const body = 'fields { type { '.repeat(8);
      await attack({ query: `{ __schema { types { ${body} name ${'} }'.repeat(8)} } } }` });
    });

    test(53, '_entities is no field of the gateway', async ({ attack }) => {
      const variables = { reps: [{ __typename: 'Movie', id: 'm' }] };
      await attack(
        { query: 'query ($reps: [_Any!]!) { _entities(representations: $reps) { __typename } }', variables },
        isInvalid,
      );
    });

    test(54, '_service is no field of the gateway', async ({ attack }) => {
      await attack({ query: '{ _service { sdl } }' }, isInvalid);
    });

    test(55, 'a subgraph refuses a request that the gateway has not signed', async ({ stack, attack }) => {
      const variables = { reps: [{ __typename: 'Movie', id: 'm' }] };
      const query = 'query ($reps: [_Any!]!) { _entities(representations: $reps) { __typename } }';
      for (const { url } of Object.values(stack.subgraphs)) {
        for (const one of [
          { query, variables },
          { query: '{ _service { sdl } }' },
          { query: '{ __typename }' },
        ]) {
          for (const headers of [
            {},
            { 'x-cinegraph-identity': `v2.${Math.ceil(Date.now() / 1_000) + 50}..AAAA` },
          ])
            await attack({ ...one, url, headers }, { status: [401, 403] });
        }
      }
    });

    test(56, 'a misspelt name gets no suggestion', async ({ attack }) => {
      const attacks: readonly Attack[] = [
        { query: '{ movi(id: "m") { id } }' },
        { query: '{ movie(ide: "m") { id } }' },
        { query: '{ movie(id: "m") { titl } }' },
        { query: '{ movies(sort: TITLE_AS) { totalCount } }' },
        { query: 'query ($f: MovieFilte) { movies(filter: $f) { totalCount } }' },
        {
          query: 'query ($f: MovieFilter) { movies(filter: $f) { totalCount } }',
          variables: { f: { titel: 'x' } },
        },
        { query: '{ movies(filter: { titel: "x" }) { totalCount } }' },
        { query: '{ movie(id: "m") { id @skp(if: true) } }' },
        { query: 'mutation { logn(login: "a", password: "b") { me { login } } }' },
      ];
      for (const one of attacks) {
        const { text } = await attack(one, { status: 400 });
        expect(text).not.toMatch(/did you mean/i);
      }
    });

    test(58, 'a secret in an error of a resolver is masked', async ({ stack, attack }) => {
      const secret = 'the password of the database is hunter2';
      const { proxy } = stack.subgraphs.metadata;
      for (const code of ['INTERNAL_SERVER_ERROR', undefined, 'P2010']) {
        proxy.replaceWith((response) => {
          const errors = [{ message: secret, extensions: { code, stacktrace: [secret] } }];
          response.setHeader('content-type', 'application/json').end(JSON.stringify({ data: null, errors }));
        });
        const asked = attack(
          { query: '{ genres(first: 1) { id } }' },
          { status: 200, code: 'INTERNAL_SERVER_ERROR', fetches: true },
        );
        const { text } = await asked.finally(() => proxy.replaceWith(undefined));
        expect(text).not.toMatch(/hunter2|password/);
      }
    });

    test(59, 'the text of an error of the database is masked', async ({ stack, attack }) => {
      const { pool } = stack.subgraphs.metadata;
      await pool.query('ALTER TABLE movie RENAME TO movie_gone');
      try {
        for (const query of [
          '{ movie(id: "m") { title } }',
          '{ search(text: "x") { hits { rank } } }',
          '{ movies { totalCount } }',
        ])
          await attack(
            { query },
            {
              status: 200,
              fetches: true,
              code: 'INTERNAL_SERVER_ERROR',
            },
          );
      } finally {
        await pool.query('ALTER TABLE movie_gone RENAME TO movie');
      }
    });

    test(60, 'no response has a stack trace', async ({ attack }) => {
      const bodies: readonly unknown[] = [
        { query: 'qwerty { abc }' },
        { query: '{ broken' },
        { query: 7 },
        { query: null },
        { query: '{ __typename }', variables: [] },
        { query: '{ __typename }', variables: 'x' },
        { query: '{ __typename }', extensions: 'x' },
        { query: 'query A { __typename }', operationName: 'B' },
        { query: 'query A { __typename } query B { __typename }' },
        { query: 'subscription { movies { totalCount } }' },
        { query: '{ __typename }', extensions: { persistedQuery: { version: 99, sha256Hash: '../../x' } } },
        'text',
        null,
      ];
      for (const body of bodies) await attack({ body: JSON.stringify(body) }, { status: 400 });
    });

    test(62, 'a browser gets no page', async ({ attack }) => {
      const headers = { accept: 'text/html' };
      for (const path of ['/', '/graphql', '/graphiql', '/playground', '/sandbox', '/console']) {
        const answer = await attack({ method: 'GET', path, headers });
        expect(answer.headers['content-type']).not.toContain('html');
        expect(answer.text).not.toMatch(/graphiql|playground|sandbox/i);
      }
    });

    test(
      64,
      'an unknown user and a wrong password get the same answer after the same time',
      async (tools) => {
        await compareLogins(tools);
      },
    );
  });

/** The time of a login is that of its password hash. Medians, because other programs share the machine. */
const compareLogins = async ({ ask, attack, note }: Tools) => {
  const password = 'correct horse battery';
  const query =
    'mutation ($login: String!, $password: String!) { login(login: $login, password: $password) { me { login } } }';
  const registered = await ask({
    query: 'mutation ($input: RegisterInput!) { register(input: $input) { me { login } } }',
    variables: { input: { login: 'timed', password, name: 'Timed' } },
    from: '127.0.64.1',
  });
  expect(registered.errors).toEqual([]);
  const times = { known: [] as number[], unknown: [] as number[] };
  const texts = new Set<string>();
  for (let n = 0; n < 15; n += 1) {
    for (const kind of ['known', 'unknown'] as const) {
      const login = kind === 'known' ? 'timed' : `nobody${n}`;
      // Ten logins a minute are allowed for an address.
      const from = `127.0.64.${10 + Math.floor(n / 4)}`;
      const variables = { login, password: `wrong password ${n}` };
      const { ms, text } = await attack(
        { query, variables, from },
        { status: 200, code: 'INVALID_CREDENTIALS', fetches: true },
      );
      times[kind].push(ms);
      texts.add(text);
    }
  }
  const ratio = median(times.unknown) / median(times.known);
  note(`median ${median(times.known).toFixed(0)} ms, unknown user × ${ratio.toFixed(2)}`);
  expect(texts.size).toBe(1);
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
};

const median = (values: readonly number[]): number =>
  [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
