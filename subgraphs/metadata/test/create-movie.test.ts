import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asAna, brazil, codeOf, detailsOf, movieOf, startMutations } from './support/mutations.js';

let mutations: Awaited<ReturnType<typeof startMutations>>;
beforeAll(async () => {
  mutations = await startMutations();
});
afterAll(() => mutations.subgraph.stop());

describe('createMovie', () => {
  it('createMovie adds a movie with every field of the input and a new UUID of version 7', async () => {
    const movie = await mutations.created({
      ...brazil,
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
    });
    expect(movie).toEqual({
      ...brazil,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      releaseYear: 1985,
      version: 1,
      createdAt: '2026-11-21T09:30:00.123Z',
      updatedAt: '2026-11-21T09:30:00.123Z',
      genres: [
        { id: 'comedy', name: 'Comedy' },
        { id: 'science-fiction', name: 'Science Fiction' },
      ],
      directors: [{ id: expect.any(String), name: 'Terry Gilliam' }],
      cast: [
        { position: 1, character: 'Sam Lowry', person: { name: 'Jonathan Pryce' }, movie: { id: movie.id } },
        { position: 2, character: null, person: { name: 'Kim Greist' }, movie: { id: movie.id } },
      ],
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
      domesticGross: null,
      domesticDvdSales: null,
    });
    expect(await mutations.read(movie.id)).toEqual(movie);
  });

  it('createMovie refuses a person with no field, with both, and with a null, as @oneOf says', async () => {
    for (const person of [{}, { id: 'person:1', name: 'Both' }, { id: null, name: 'One' }]) {
      const refused = await mutations.create({ title: 'x', directors: [person] });
      expect(codeOf(refused)).toBe('BAD_USER_INPUT');
    }
  });

  it('createMovie lets two movies share a title', async () => {
    const [one, two] = [
      await mutations.created({ title: 'Remake' }),
      await mutations.created({ title: 'Remake' }),
    ];
    expect(one.id).not.toBe(two.id);
    expect(await mutations.countMovies('Remake')).toBe(2);
  });

  it('createMovie credits known people, and refuses unknown ones before anything is written', async () => {
    const { directors } = (await mutations.created({
      title: 'First',
      directors: [{ name: 'Jane Doe' }],
    })) as unknown as {
      directors: { id: string }[];
    };
    const second = await mutations.created({ title: 'Second', cast: [{ person: { id: directors[0]?.id } }] });
    expect(second).toMatchObject({ cast: [{ person: { name: 'Jane Doe' } }] });
    const refused = await mutations.create({
      title: 'Third',
      directors: [{ id: 'person:nobody' }],
      genres: ['Unheard Of'],
    });
    expect([codeOf(refused), detailsOf(refused)]).toEqual([
      'PERSON_NOT_FOUND',
      { personId: 'person:nobody' },
    ]);
    expect(await mutations.countMovies('Third')).toBe(0);
    expect(
      (await mutations.subgraph.pool.query(`SELECT 1 FROM genre WHERE id = 'unheard-of'`)).rowCount,
    ).toBe(0);
  });

  it.each([
    ['without a title', {}, undefined],
    ['with a title that is a number', { title: 7 }, undefined],
    ['with an empty title', { title: '' }, 'title'],
    ['with a title of 301 characters', { title: 't'.repeat(301) }, 'title'],
    ['with 5,000 directors', { title: 'x', directors: Array(5_000).fill({ name: 'A' }) }, 'directors'],
    ['with a runtime of -5', { title: 'x', runtimeMinutes: -5 }, 'runtimeMinutes'],
    ['with a day that does not exist', { title: 'x', releaseDate: '2026-02-30' }, undefined],
    ['with a day that is a number', { title: 'x', releaseDate: 20260230 }, undefined],
    [
      'with an amount that is a number',
      { title: 'x', worldwideGross: { amount: 5, currency: 'USD' } },
      undefined,
    ],
    [
      'with an amount below zero',
      { title: 'x', worldwideGross: { amount: '-5', currency: 'USD' } },
      undefined,
    ],
    [
      'with a currency that does not exist',
      { title: 'x', worldwideGross: { amount: '5', currency: 'ZZZ' } },
      undefined,
    ],
    [
      'with a poster at an address of our own network',
      { title: 'x', posterUrl: 'http://169.254.169.254/' },
      'posterUrl',
    ],
    ['with a role that nobody asked for', { title: 'x', role: 'ADMIN' }, undefined],
    ['with a version', { title: 'x', version: 9 }, undefined],
    ['with an operator for a title', { title: { set: 'x' } }, undefined],
    ['with an operator for a list', { title: 'x', languages: { push: 'en' } }, undefined],
    ['with U+0000', { title: 'a\u0000b' }, undefined],
    ['with half a surrogate pair', { title: 'a\uD800' }, undefined],
  ])('createMovie refuses a movie %s with BAD_USER_INPUT and writes nothing', async (_case, input, field) => {
    const before = (await mutations.subgraph.pool.query('SELECT 1 FROM movie')).rowCount;
    const answer = await mutations.create(input);
    expect(codeOf(answer)).toBe('BAD_USER_INPUT');
    expect(detailsOf(answer)).toEqual(field === undefined ? undefined : { field });
    expect((await mutations.subgraph.pool.query('SELECT 1 FROM movie')).rowCount).toBe(before);
  });

  it('createMovie checks literals as it checks variables', async () => {
    const mutation = (date: string, amount: string) =>
      mutations.subgraph.ask(
        `mutation { createMovie(input: { title: "Literal", releaseDate: ${date},
           productionBudget: { amount: ${amount}, currency: "USD" } }) { movie { releaseDate } } }`,
        {},
        asAna,
      );
    expect((await mutation('"2026-02-28"', '"5"')).data).toEqual({
      createMovie: { movie: { releaseDate: '2026-02-28' } },
    });
    expect(codeOf(await mutation('20260228', '"5"'))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutation('"2026-02-28"', '5'))).toBe('BAD_USER_INPUT');
  });

  it('every mutation needs a viewer', async () => {
    for (const mutation of [
      'createMovie(input: { title: "Nobody\'s" }) { movie { id } }',
      'updateMovie(id: "x", version: 1, input: {}) { movie { id } }',
      'upsertMovie(id: "x", input: { title: "x" }) { movie { id } }',
      'deleteMovie(id: "x") { deletedMovieId }',
    ]) {
      const answer = await mutations.subgraph.ask(`mutation { answer: ${mutation} }`);
      expect([answer.data, codeOf(answer)]).toEqual([{ answer: null }, 'UNAUTHENTICATED']);
    }
    expect(await mutations.countMovies(`Nobody's`)).toBe(0);
  });
});

describe('an idempotency key', () => {
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
