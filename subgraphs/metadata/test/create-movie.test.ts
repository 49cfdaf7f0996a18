import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asEditor, brazil, codeOf, detailsOf, startMutations } from './support/mutations.js';

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
        asEditor,
      );
    expect((await mutation('"2026-02-28"', '"5"')).data).toEqual({
      createMovie: { movie: { releaseDate: '2026-02-28' } },
    });
    expect(codeOf(await mutation('20260228', '"5"'))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutation('"2026-02-28"', '5'))).toBe('BAD_USER_INPUT');
  });

  it.each([
    ['nobody', {}, 'UNAUTHENTICATED'],
    ['a viewer without the scope', { viewer: 'ana' }, 'FORBIDDEN'],
    ['a viewer with other scopes', { viewer: 'ana', scopes: ['catalogue', 'users:admin'] }, 'FORBIDDEN'],
  ])('every mutation is refused for %s, and changes nothing', async (_who, asker, code) => {
    const { id } = await mutations.created({ title: 'Kept' });
    const rows = async () =>
      (await mutations.subgraph.pool.query('SELECT * FROM movie ORDER BY id')).rows as unknown[];
    const before = await rows();
    for (const mutation of [
      'createMovie(input: { title: "Nobody\'s" }) { movie { id } }',
      `updateMovie(id: "${id}", version: 1, input: { title: "x" }) { movie { id } }`,
      `upsertMovie(id: "${id}", input: { title: "x" }) { movie { id } }`,
      `deleteMovie(id: "${id}") { deletedMovieId }`,
    ]) {
      const answer = await mutations.subgraph.ask(`mutation { answer: ${mutation} }`, {}, asker);
      expect([answer.data, codeOf(answer)]).toEqual([{ answer: null }, code]);
    }
    expect(await rows()).toEqual(before);
  });
});
