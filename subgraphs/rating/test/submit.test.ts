import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { createRatingCommands } from '../src/commands.js';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { ratingWorld, submit, retract, requestStatements } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
});
afterAll(() => world.subgraph.stop());

const codesOf = (answer: { errors?: readonly { extensions?: Readonly<Record<string, unknown>> }[] }) =>
  answer.errors?.map(({ extensions }) => extensions?.['code']);

describe('submitRating', () => {
  it('submitRating needs a viewer', async () => {
    const answer = await world.subgraph.ask(submit, { movieId: 'm', score: 7 });
    expect(codesOf(answer)).toEqual(['UNAUTHENTICATED']);
  });

  it('submitRating returns the new average, and replaces the earlier rating of the viewer', async () => {
    expect(await world.rate('ann', 'replaced', 7)).toMatchObject({ average: 7, count: 1 });
    expect(await world.rate('bob', 'replaced', 4)).toMatchObject({ average: 5.5, count: 2 });
    expect(await world.rate('ann', 'replaced', 10)).toMatchObject({ average: 7, count: 2 });
    const { histogram } = await world.aggregateOf('replaced');
    expect(histogram.filter(({ count }) => count > 0)).toEqual([
      { score: 4, count: 1 },
      { score: 10, count: 1 },
    ]);
  });

  it.each([-5, 0, 11, 94, 7.5, '7', null, true])(
    'submitRating refuses the score %p and writes nothing, as a variable and as a literal',
    async (score) => {
      const asVariable = await world.subgraph.ask(submit, { movieId: 'bad', score }, { viewer: 'ann' });
      expect(asVariable.data?.['submitRating'] ?? null).toBeNull();
      expect(codesOf(asVariable)).toEqual([score === null ? 'BAD_USER_INPUT' : 'RATING_OUT_OF_RANGE']);
      const asLiteral = await world.subgraph.ask(
        `mutation { submitRating(movieId: "bad", score: ${JSON.stringify(score)}) { rating { score } } }`,
        {},
        { viewer: 'ann' },
      );
      expect(codesOf(asLiteral)).toEqual([
        score === null ? 'GRAPHQL_VALIDATION_FAILED' : 'RATING_OUT_OF_RANGE',
      ]);
      expect(await world.aggregateOf('bad')).toMatchObject({ count: 0 });
    },
  );

  it('submitRating refuses text that cannot be stored, and names the variable', async () => {
    for (const review of ['a\u0000b', 'a\ud800b']) {
      const answer = await world.subgraph.ask(
        submit,
        { movieId: 'text', score: 5, review },
        { viewer: 'ann' },
      );
      expect(codesOf(answer)).toEqual(['BAD_USER_INPUT']);
      expect(answer.errors?.[0]?.message).toContain('review');
    }
    expect(await world.aggregateOf('text')).toMatchObject({ count: 0 });
  });

  it('submitRating refuses a rating of a deleted movie, and writes the others of its batch', async () => {
    await world.know('beside-gone');
    await world.remove('gone');
    const [gone, kept] = await Promise.all([
      world.subgraph.ask(submit, { movieId: 'gone', score: 3 }, { viewer: 'ann' }),
      world.subgraph.ask(submit, { movieId: 'beside-gone', score: 3 }, { viewer: 'ann' }),
    ]);
    expect(codesOf(gone)).toEqual(['MOVIE_DELETED']);
    expect(kept.errors).toBeUndefined();
    expect(await world.aggregateOf('beside-gone')).toMatchObject({ count: 1 });
  });
});

describe('retractRating', () => {
  it('retractRating removes the vote from the aggregate, and has no effect a second time', async () => {
    await world.rate('ann', 'retracted', 2);
    await world.rate('bob', 'retracted', 8);
    expect(await world.retract('ann', 'retracted')).toMatchObject({
      retracted: true,
      movie: { aggregatedRating: { average: 8, count: 1 } },
    });
    expect(await world.retract('ann', 'retracted')).toMatchObject({
      retracted: false,
      movie: { aggregatedRating: { average: 8, count: 1 } },
    });
    expect(await world.rate('ann', 'retracted', 4)).toMatchObject({ average: 6, count: 2 });
  });

  it('retractRating of a rating that does not exist writes no row', async () => {
    expect(await world.retract('ann', 'never-rated')).toMatchObject({
      retracted: false,
      movie: { aggregatedRating: { average: null, count: 0 } },
    });
    const { rows } = await world.subgraph.pool.query(
      `SELECT movie_id FROM rating WHERE movie_id = 'never-rated'`,
    );
    expect(rows).toEqual([]);
  });

  it('retractRating at the same time as submitRating returns what one of the two orders gives', async () => {
    await world.know('at-once');
    const [submitted, retracted] = await Promise.all([
      world.rate('ann', 'at-once', 6),
      world.retract('ann', 'at-once'),
    ]);
    expect([submitted.count, retracted.retracted]).toEqual(
      submitted.count === 1 && retracted.retracted ? [1, true] : [1, false],
    );
  });

  it('retractRating keeps the row, so that an earlier event that arrives later is ignored', async () => {
    await world.rate('ann', 'kept-row', 2);
    await world.retract('ann', 'kept-row');
    const { rows } = await world.subgraph.pool.query(
      `SELECT score, version::int FROM rating WHERE movie_id = 'kept-row'`,
    );
    expect(rows).toEqual([{ score: null, version: 2 }]);
  });
});

describe('an idempotency key', () => {
  it('an idempotency key makes five equal submissions one vote with equal answers', async () => {
    await world.know('keyed', 'keyed2');
    const send = (score = 6) =>
      world.subgraph.ask(submit, { movieId: 'keyed', score, key: 'k1' }, { viewer: 'ann' });
    const first = await send();
    const answers = await Promise.all([send(), send(), send(), send()]);
    for (const answer of answers) expect(answer).toEqual(first);
    const { rows } = await world.subgraph.pool.query(
      `SELECT version::int, score FROM rating WHERE movie_id = 'keyed'`,
    );
    expect(rows).toEqual([{ version: 1, score: 6 }]);
    const together = await Promise.all(
      Array.from({ length: 5 }, () =>
        world.subgraph.ask(submit, { movieId: 'keyed2', score: 9, key: 'k2' }, { viewer: 'ann' }),
      ),
    );
    for (const answer of together) expect(answer).toEqual(together[0]);
    expect(await world.aggregateOf('keyed2')).toMatchObject({ count: 1, average: 9 });
  });

  it('an idempotency key returns the stored answer even if the aggregate has changed', async () => {
    await world.know('snapshot');
    const send = () =>
      world.subgraph.ask(submit, { movieId: 'snapshot', score: 6, key: 'k3' }, { viewer: 'ann' });
    const first = await send();
    await world.rate('bob', 'snapshot', 10);
    expect(await send()).toEqual(first);
  });

  it('an idempotency key is refused with other arguments or another mutation, and belongs to its viewer', async () => {
    await world.rate('ann', 'reused', 6, 'k4');
    const other = await world.subgraph.ask(
      submit,
      { movieId: 'reused', score: 7, key: 'k4' },
      { viewer: 'ann' },
    );
    expect(codesOf(other)).toEqual(['IDEMPOTENCY_KEY_REUSED']);
    const retraction = await world.subgraph.ask(retract, { movieId: 'reused', key: 'k4' }, { viewer: 'ann' });
    expect(codesOf(retraction)).toEqual(['IDEMPOTENCY_KEY_REUSED']);
    expect(await world.rate('bob', 'reused', 10, 'k4')).toMatchObject({ count: 2, average: 8 });
  });

  it('an idempotency key may be used again after 24 hours', async () => {
    await world.rate('ann', 'expired', 6, 'k5');
    await world.subgraph.pool.query(
      `UPDATE idempotency SET expires_at = now() - interval '1 second' WHERE key = 'k5'`,
    );
    expect(await world.rate('ann', 'expired', 7, 'k5')).toMatchObject({ count: 1, average: 7 });
  });
});

describe('concurrent submissions', () => {
  it('concurrent submissions of a tick are written by one statement in one transaction', async () => {
    const pool = new pg.Pool({ connectionString: world.subgraph.databaseUrl });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const { rate } = createRatingCommands({
      prisma,
      clock: systemClock,
      logger: silentLogger,
    });
    await world.know(...[0, 1, 2, 3, 4].map((n) => `batched ${n}`));
    const statements = await requestStatements(() =>
      Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          rate({ movieId: `batched ${n % 5}`, viewerId: `s${n}`, score: 5, review: null }),
        ),
      ),
    );
    await prisma.$disconnect();
    await pool.end();
    expect(statements.filter((text) => text.includes('INSERT INTO rating'))).toHaveLength(1);
    expect(statements.filter((text) => /^BEGIN/i.test(text))).toHaveLength(1);
    expect(await world.aggregateOf('batched 0')).toMatchObject({ count: 10 });
  });
});
