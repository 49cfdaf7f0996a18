import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { answers, neverAnswers } from './support/stub-subgraph.js';
import { startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

const internals =
  /127\.0\.0\.1|localhost|:\d{4,5}\b|scores|serviceName|stack|undici|ECONN|hunter2|db\.internal|10\.0\.0\.1|Error:/;

describe('a subgraph that fails', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld({ DEADLINE_MS: '2000' });
  });
  afterEach(async () => {
    world.things.misbehave(undefined);
    world.scores.misbehave(undefined);
    await world.scores.restart();
    // The breakers of both subgraphs close, if they opened.
    await until(async () => {
      const answers = await Promise.all([world.ask('{ best { score } }'), world.ask('{ things { id } }')]);
      return answers.every(({ body }) => body.errors === undefined);
    });
    world.things.seen.length = 0;
    world.scores.seen.length = 0;
  });
  afterAll(() => world.stop());

  const partial = [0, 1, 2].map((id) => ({ id: String(id), points: null }));
  const places = [0, 1, 2].map((index) => ['things', index, 'points']);

  const expectScoresMissing = async (code: string) => {
    const { status, text, body } = await world.ask('{ things { id points: score } }');
    expect(status).toBe(200);
    expect(body.data).toEqual({ things: partial });
    expect(body.errors?.map(({ path }) => path)).toEqual(places);
    for (const { extensions } of body.errors ?? []) expect(extensions).toEqual({ code });
    expect(body.extensions).toBeUndefined();
    expect(text).not.toMatch(internals);
  };

  it('a subgraph that is down costs only its fields, and is reported as unreachable until it is back', async () => {
    await world.scores.stop();
    await expectScoresMissing('SUBGRAPH_UNAVAILABLE');
    const ready = await fetch(`${world.url}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ checks: { scores: 'unreachable' } });

    await world.scores.restart();
    const { body } = await world.ask('{ things { score } }');
    expect(body.errors).toBeUndefined();
    expect(await (await fetch(`${world.url}/health/ready`)).json()).toMatchObject({
      checks: { scores: 'reachable' },
    });
  });

  it('a subgraph that never responds costs no more than the deadline', async () => {
    world.scores.misbehave(neverAnswers);

    await expectScoresMissing('DEADLINE_EXCEEDED');
    expect(world.scores.seen).toHaveLength(1);
  });

  it('a subgraph that stops in the middle of its response costs no more than the deadline', async () => {
    world.scores.misbehave(
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"da'),
    );

    await expectScoresMissing('DEADLINE_EXCEEDED');
  });

  it.each([
    ['HTML', answers('<html><h1>scores.internal</h1></html>', 200, 'text/html')],
    ['an HTTP error', answers('upstream 127.0.0.1:5432 refused', 502, 'text/plain')],
    ['an error as JSON that is no GraphQL', answers({ error: 'at Object.<anonymous> (/app/x.js)' }, 500)],
    ['half an answer', answers('{"data":{"_entities":[{"sco')],
    ['nothing', answers('')],
    ['null', answers('null')],
    ['a list', answers([])],
    ['neither data nor errors', answers({})],
    ['data that is a text', answers({ data: 'hello' })],
    ['too few entities', answers({ data: { _entities: [] } })],
    ['entities that are no list', answers({ data: { _entities: 'hello' } })],
    ['a redirect', (response) => void response.writeHead(302, { location: world.things.url }).end()],
    [
      'a refusal of the gateway itself',
      answers({ errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] }, 401),
    ],
    ['a closed connection', (response) => void response.destroy()],
    [
      'more than the gateway reads',
      answers({
        data: { _entities: [{ score: 1 }, { score: 2 }, { score: 3 }] },
        extensions: 'x'.repeat(33 << 20),
      }),
    ],
  ] as const satisfies readonly (readonly [string, Parameters<World['scores']['misbehave']>[0]])[])(
    'a subgraph costs only its fields when it responds with %s',
    async (_what, misbehaviour) => {
      world.scores.misbehave(misbehaviour);

      await expectScoresMissing('SUBGRAPH_UNAVAILABLE');
      expect(world.things.seen).toHaveLength(1);
    },
  );

  it('the path of an error is that of the field that failed, also where its null spreads to the parent', async () => {
    world.scores.misbehave(answers('', 500));
    const { body, text } = await world.ask('{ thing(id: "1") { id rank } loose { name rank } }');

    expect(body.data).toEqual({ thing: null, loose: [null, null] });
    expect(body.errors?.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        ['thing', 'rank'],
        ['loose', 0, 'rank'],
        ['loose', 1, 'rank'],
      ]),
    );
    for (const { extensions } of body.errors ?? [])
      expect(extensions).toEqual({ code: 'SUBGRAPH_UNAVAILABLE' });
    expect(body.extensions).toBeUndefined();
    expect(text).not.toMatch(internals);
  });

  it('a failed fetch of a root field is reported at that field', async () => {
    world.scores.misbehave(answers('', 500));
    const { status, body } = await world.ask('{ top: best { id } things { name } }');

    expect(status).toBe(200);
    expect(body.data).toEqual({ top: null, things: [{ name: 'zero' }, { name: 'one' }, { name: 'two' }] });
    expect(body.errors?.map(({ path }) => path)).toEqual([['top']]);
  });

  it('data is null and has an error when every requested field has failed', async () => {
    world.things.misbehave(answers('', 500));
    const { body } = await world.ask('{ things { name } }');

    expect(body.data).toBeNull();
    expect(body.errors).toHaveLength(1);
  });

  it('a failed mutation is not sent a second time', async () => {
    world.things.misbehave((response) => void response.destroy());
    const { body } = await world.ask('mutation { rename(id: "1", name: "x") { name } }');

    expect(body.data).toEqual({ rename: null });
    expect(world.things.seen).toHaveLength(1);
  });

  it('a subgraph response with a key __proto__ does not change the prototype of an object', async () => {
    world.scores.misbehave(
      answers('{"data":{"_entities":[{"__proto__":{"polluted":1},"score":1},null,null]}}'),
    );
    await world.ask('{ things { score } }');

    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('a subgraph error passes only with a listed code, and is masked otherwise', async () => {
    for (const code of [
      'INTERNAL_SERVER_ERROR',
      'InternalError',
      'DB_DOWN',
      'GRAPHQL_VALIDATION_FAILED',
      'SUBGRAPH_UNAVAILABLE',
    ]) {
      const { status, text, body } = await world.ask(`{ broken(code: "${code}") }`);
      expect(status).toBe(200);
      expect(text).not.toMatch(internals);
      expect(body.errors).toEqual([
        expect.objectContaining({
          message: 'Internal error',
          path: ['broken'],
          extensions: { code: 'INTERNAL_SERVER_ERROR' },
        }),
      ]);
    }
    const masked = world.log.filter(({ msg }) => msg === 'masked error');
    expect(JSON.stringify(masked)).toContain('hunter2');
  });

  it('the code of an unavailable store passes if the schema lists it, but not its message', async () => {
    const { text, body } = await world.ask('{ broken(code: "STORE_UNAVAILABLE") }');

    expect(text).not.toMatch(internals);
    expect(body.errors).toEqual([
      {
        message: 'This part of the graph cannot be reached at the moment. Try again later.',
        path: ['broken'],
        extensions: { code: 'STORE_UNAVAILABLE' },
      },
    ]);
  });

  it('an error without a path beside whole data has no path, although a field is null elsewhere', async () => {
    world.things.misbehave(answers({ data: { loose: [{ __typename: 'Thing', id: '1' }, null] } }));
    const whole = { _entities: [{ __typename: 'Thing', score: 10 }] };
    world.scores.misbehave(
      answers({ data: whole, errors: [{ message: 'slow', extensions: { code: 'FORBIDDEN' } }] }),
    );
    const { body } = await world.ask('{ loose { id score } }');

    expect(body.data).toEqual({ loose: [{ id: '1', score: 10 }, null] });
    expect(body.errors).toEqual([{ message: 'slow', extensions: { code: 'FORBIDDEN' } }]);
  });

  it('a refusal with a code of the schema passes with message, flat details and path', async () => {
    const { status, body } = await world.ask('{ things { id odd } }');

    expect(status).toBe(200);
    expect(body.errors).toEqual([
      {
        message: 'Thing is locked. Unlock it first.',
        path: ['things', 1, 'odd'],
        extensions: { code: 'THING_LOCKED', details: { id: '1' } },
      },
    ]);
  });

  it("a refusal's details are reduced to plain values, and it cannot set the HTTP status", async () => {
    const { status, body } = await world.ask('{ broken(code: "NOT_FOUND") }');

    expect(status).toBe(200);
    expect(body.errors?.[0]?.extensions).toEqual({ code: 'NOT_FOUND', details: { limit: 3 } });
  });

  it('a subgraph error without a path gets the path of the fetch', async () => {
    world.scores.misbehave(
      answers({ data: null, errors: [{ message: 'locked', extensions: { code: 'THING_LOCKED' } }] }),
    );
    const { body } = await world.ask('{ things { id score } }');

    expect(body.errors).toEqual(
      [0, 1, 2].map((index) => ({
        message: 'locked',
        path: ['things', index, 'score'],
        extensions: { code: 'THING_LOCKED' },
      })),
    );
  });
});

describe('a client that leaves', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.stop());

  it.each([
    ['a client that leaves ends the fetches of a query', '{ things { id } }', true],
    ['a client that leaves does not end a mutation', 'mutation { rename(id: "1", name: "x") { id } }', false],
  ])('%s', async (_what, query, ends) => {
    let closed = false;
    let finish = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      world.things.misbehave((response) => {
        response.once('close', () => {
          closed = !response.writableFinished;
        });
        finish = () => answers({ data: { things: [], rename: null } })(response);
        resolve();
      });
    });
    const leaving = new AbortController();
    const left = world.ask(query, { signal: leaving.signal }).catch(() => 'left');
    await asked;
    leaving.abort();
    expect(await left).toBe('left');
    if (ends) await until(() => closed);
    // A round trip behind the leaving: had it ended the fetch, that would have been seen by now.
    else await Promise.all([fetch(`${world.url}/health/live`), fetch(`${world.url}/health/live`)]);
    expect(closed).toBe(ends);
    finish();
  });
});

describe('a subgraph that cannot be connected to', () => {
  it('a subgraph whose URL from the environment cannot be connected to costs only its fields', async () => {
    const world = await startWorld({ SUBGRAPH_URL_SCORES: 'http://127.0.0.1:1/graphql' });
    try {
      const { body } = await world.ask('{ things { id score } }');
      expect(body.errors).toHaveLength(3);
      expect(world.scores.seen).toEqual([]);
      expect(world.things.seen).toHaveLength(1);
    } finally {
      await world.stop();
    }
  });
});
