import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { codeOf, detailsOf, movieOf, startMutations } from './support/mutations.js';

let mutations: Awaited<ReturnType<typeof startMutations>>;
beforeAll(async () => {
  mutations = await startMutations();
});
afterAll(() => mutations.subgraph.stop());

describe('an idempotency key of createMovie', () => {
  it('an idempotency key that is sent five times at once adds one movie and gets five equal results', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => mutations.create({ title: 'Once', genres: ['Drama'] }, 'key-1')),
    );
    expect(await mutations.countMovies('Once')).toBe(1);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers.map(movieOf)[0]).toMatchObject({ title: 'Once', version: 1 });
  });

  it('an idempotency key returns the first result, even if the movie changed since', async () => {
    const first = await mutations.create({ title: 'Then' }, 'key-2');
    const { id } = movieOf(first) as { id: string };
    await mutations.update(id, 1, { title: 'Now', genres: ['Horror'] });
    expect((await mutations.create({ title: 'Then' }, 'key-2')).data).toEqual(first.data);
  });

  it('an idempotency key is refused with other arguments, and each viewer has their own keys', async () => {
    await mutations.create({ title: 'Mine' }, 'key-3');
    expect(codeOf(await mutations.create({ title: 'Other' }, 'key-3'))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect((await mutations.create({ title: 'Mine' }, 'key-3', 'ben')).errors).toBeUndefined();
    expect(await mutations.countMovies('Mine')).toBe(2);
    expect(await mutations.countMovies('Other')).toBe(0);
  });

  it('an idempotency key returns a refusal again', async () => {
    const input = { title: 'Refused', directors: [{ id: 'person:later' }] };
    expect(codeOf(await mutations.create(input, 'key-4'))).toBe('PERSON_NOT_FOUND');
    await mutations.subgraph.pool.query(`INSERT INTO person (id, name) VALUES ('person:later', 'Late')`);
    expect(codeOf(await mutations.create(input, 'key-4'))).toBe('PERSON_NOT_FOUND');
  });

  it('an idempotency key is kept for 24 hours and can be used again after that', async () => {
    const today = mutations.now();
    const hoursAgo = (hours: number) => new Date(today.getTime() - hours * 60 * 60 * 1000);
    for (const [moment, count] of [
      [hoursAgo(48), 1],
      [hoursAgo(24.1), 1],
      [hoursAgo(24), 2],
      [today, 3],
    ] as const) {
      mutations.setTime(moment);
      expect((await mutations.create({ title: 'Daily' }, 'key-5')).errors).toBeUndefined();
      expect([moment, await mutations.countMovies('Daily')]).toEqual([moment, count]);
    }
  });

  it('an idempotency key has from 1 to 200 characters', async () => {
    expect(codeOf(await mutations.create({ title: 'x' }, ''))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutations.create({ title: 'x' }, 'k'.repeat(201)))).toBe('BAD_USER_INPUT');
  });
});

describe('an idempotency key of updateMovie, upsertMovie and deleteMovie', () => {
  const externalId = { source: 'imdb', value: 'tt0000042' };
  const mutationsOf = (id: string) => ({
    updateMovie: (key: string, title = 'Changed') =>
      mutations.update(id, 1, { title, genres: ['Drama'] }, key),
    'upsertMovie by id': (key: string, title = 'Changed') =>
      mutations.upsert({ id }, { title, genres: ['Drama'] }, key),
    'upsertMovie by external id': (key: string, title = 'Changed') =>
      mutations.upsert({ externalId: { source: 'tmdb', value: '42' } }, { title, genres: ['Drama'] }, key),
    deleteMovie: (key: string, title = 'Changed') =>
      mutations.remove(id, title === 'Changed' ? undefined : 1, key),
  });
  const names = Object.keys(mutationsOf('')) as (keyof ReturnType<typeof mutationsOf>)[];
  const versionOf = async (id: string) =>
    (await mutations.subgraph.pool.query('SELECT version FROM movie WHERE id = $1', [id])).rows[0] as unknown;
  const create = () =>
    mutations.created({ title: 'Kept', externalIds: [{ source: 'tmdb', value: '42' }], genres: ['War'] });
  afterEach(() => mutations.subgraph.pool.query('TRUNCATE external_id, idempotency'));

  it.each(names)('%s with a key is done once, also if it is sent five times at once', async (name) => {
    const { id } = await create();
    const send = mutationsOf(id)[name];
    const answers = await Promise.all(Array.from({ length: 5 }, () => send('key')));
    answers.push(await send('key'));
    expect(answers.flatMap(({ errors = [] }) => errors)).toEqual([]);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await versionOf(id)).toEqual({ version: 2 });
  });

  it.each(names)('%s with a key that was used with other arguments is refused', async (name) => {
    const { id } = await create();
    const send = mutationsOf(id)[name];
    expect((await send('key')).errors).toBeUndefined();
    expect(codeOf(await send('key', 'Other'))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await versionOf(id)).toEqual({ version: 2 });
  });

  it('a key of one mutation is refused for another mutation', async () => {
    const { id } = await create();
    expect((await mutations.create({ title: 'Changed' }, 'key')).errors).toBeUndefined();
    for (const name of names)
      expect([name, codeOf(await mutationsOf(id)[name]('key'))]).toEqual([name, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('a repeat returns the movie as it was then, with its lists', async () => {
    const { id } = await create();
    const first = await mutations.update(id, 1, { title: 'Then', genres: ['Drama'] }, 'key');
    await mutations.update(id, 2, { title: 'Now', genres: ['Horror'] });
    await mutations.remove(id);
    expect(await mutations.update(id, 1, { title: 'Then', genres: ['Drama'] }, 'key')).toEqual(first);
    expect(movieOf(first)).toMatchObject({ title: 'Then', genres: [{ id: 'drama' }], version: 2 });
  });

  it('a VERSION_CONFLICT is returned again with its details', async () => {
    const { id } = await create();
    await mutations.update(id, 1, { title: 'Changed before' });
    const refused = await mutations.update(id, 1, { title: 'x' }, 'key');
    expect([codeOf(refused), detailsOf(refused)]).toEqual(['VERSION_CONFLICT', { currentVersion: 2 }]);
    expect(await mutations.update(id, 1, { title: 'x' }, 'key')).toEqual(refused);
  });

  it('a key that was refused with MOVIE_NOT_FOUND is free, so that the same request succeeds later', async () => {
    const later = 'test:later';
    expect(codeOf(await mutations.update(later, 1, { title: 'x' }, 'update'))).toBe('MOVIE_NOT_FOUND');
    expect(codeOf(await mutations.remove(later, undefined, 'delete'))).toBe('MOVIE_NOT_FOUND');
    await mutations.upsert({ id: later }, { title: 'Late' });
    expect((await mutations.update(later, 1, { title: 'x' }, 'update')).errors).toBeUndefined();
    expect((await mutations.remove(later, undefined, 'delete')).errors).toBeUndefined();
  });

  it('concurrent upserts of one external id with different keys add one movie', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        mutations.upsert({ externalId }, { title: `Raced ${index}` }, `key ${index}`),
      ),
    );
    expect(answers.flatMap(({ errors = [] }) => errors)).toEqual([]);
    expect(new Set(answers.map((answer) => (movieOf(answer) as { id: string }).id)).size).toBe(1);
  });

  it.each(names)('%s refuses a key that is too short or too long and names the argument', async (name) => {
    for (const key of ['', 'k'.repeat(201)]) {
      const refused = await mutationsOf('test:any')[name](key);
      expect([codeOf(refused), detailsOf(refused)]).toEqual(['BAD_USER_INPUT', { field: 'idempotencyKey' }]);
    }
  });
});
