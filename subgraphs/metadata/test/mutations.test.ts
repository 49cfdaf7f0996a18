import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, type GraphQLAnswer, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { metadata } from '../src/subgraph.js';

let subgraph: TestSubgraph;
let now = new Date('2026-11-21T09:30:00.123Z');
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata, { clock: { now: () => now } });
});
afterAll(() => subgraph.stop());

const fields = `id title description releaseDate releaseYear runtimeMinutes certification languages posterUrl version
  createdAt updatedAt genres { id name } directors { id name } cast { position character person { name } movie { id } }
  externalIds { source value } productionBudget { amount currency } worldwideGross { amount currency }
  domesticGross { amount } domesticDvdSales { amount }`;

const asAna = { viewer: 'ana' };
const codeOf = ({ errors }: GraphQLAnswer) => errors?.[0]?.extensions?.['code'];
const detailsOf = ({ errors }: GraphQLAnswer) => errors?.[0]?.extensions?.['details'];

const create = (input: unknown, idempotencyKey?: string, viewer = 'ana') =>
  subgraph.ask(
    `mutation ($input: MovieInput!, $idempotencyKey: String) {
       createMovie(input: $input, idempotencyKey: $idempotencyKey) { ${fields} } }`,
    { input, ...(idempotencyKey !== undefined && { idempotencyKey }) },
    { viewer },
  );
const created = async (input: unknown) => {
  const answer = await create(input);
  expect(answer.errors).toBeUndefined();
  return answer.data?.['createMovie'] as Record<string, unknown> & { id: string; version: number };
};
const update = (id: string, version: number, input: unknown) =>
  subgraph.ask(
    `mutation ($id: ID!, $version: Int!, $input: MovieChanges!) {
       updateMovie(id: $id, version: $version, input: $input) { ${fields} } }`,
    { id, version, input },
    asAna,
  );
const upsert = (by: { id?: string; externalId?: unknown }, input: unknown) =>
  subgraph.ask(
    `mutation ($id: ID, $externalId: ExternalIdInput, $input: MovieInput!) {
       upsertMovie(id: $id, externalId: $externalId, input: $input) { ${fields} } }`,
    { ...by, input },
    asAna,
  );
const remove = (id: string, version?: number) =>
  subgraph.ask(
    'mutation ($id: ID!, $version: Int) { deleteMovie(id: $id, version: $version) }',
    { id, ...(version !== undefined && { version }) },
    asAna,
  );
const read = async (id: string) =>
  (await subgraph.ask(`query ($id: ID!) { movie(id: $id) { ${fields} } }`, { id })).data?.['movie'];

const countMovies = async (title: string) => {
  const { rows } = await subgraph.pool.query('SELECT id FROM movie WHERE title = $1', [title]);
  return rows.length;
};

const brazil = {
  title: 'Brazil',
  description: 'A clerk dreams.',
  releaseDate: '1985-02-20',
  runtimeMinutes: 132,
  certification: 'R',
  languages: ['en'],
  genres: ['Science Fiction', 'Comedy', 'science fiction'],
  directors: [{ name: 'Terry Gilliam' }],
  cast: [{ person: { name: 'Jonathan Pryce' }, character: 'Sam Lowry' }, { person: { name: 'Kim Greist' } }],
  posterUrl: 'https://example.org/brazil.jpg',
  productionBudget: { amount: '15000000', currency: 'USD' },
  worldwideGross: { amount: '999999999999999.99', currency: 'EUR' },
};

describe('createMovie', () => {
  it('adds a movie with all that is said of it, under a new UUID of version 7', async () => {
    const movie = await created({ ...brazil, externalIds: [{ source: 'imdb', value: 'tt0088846' }] });
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
    expect(await read(movie.id)).toEqual(movie);
  });

  it('lets two movies share a title', async () => {
    const [one, two] = [await created({ title: 'Remake' }), await created({ title: 'Remake' })];
    expect(one.id).not.toBe(two.id);
    expect(await countMovies('Remake')).toBe(2);
  });

  it('credits people who are known, and refuses unknown ones before anything is written', async () => {
    const { directors } = (await created({
      title: 'First',
      directors: [{ name: 'Jane Doe' }],
    })) as unknown as {
      directors: { id: string }[];
    };
    const second = await created({ title: 'Second', cast: [{ person: { id: directors[0]?.id } }] });
    expect(second).toMatchObject({ cast: [{ person: { name: 'Jane Doe' } }] });
    const refused = await create({
      title: 'Third',
      directors: [{ id: 'person:nobody' }],
      genres: ['Unheard Of'],
    });
    expect([codeOf(refused), detailsOf(refused)]).toEqual([
      'PERSON_NOT_FOUND',
      { personId: 'person:nobody' },
    ]);
    expect(await countMovies('Third')).toBe(0);
    expect((await subgraph.pool.query(`SELECT 1 FROM genre WHERE id = 'unheard-of'`)).rowCount).toBe(0);
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
  ])('refuses a movie %s with BAD_USER_INPUT and writes nothing', async (_case, input, field) => {
    const before = (await subgraph.pool.query('SELECT 1 FROM movie')).rowCount;
    const answer = await create(input);
    expect(codeOf(answer)).toBe('BAD_USER_INPUT');
    expect(detailsOf(answer)).toEqual(field === undefined ? undefined : { field });
    expect((await subgraph.pool.query('SELECT 1 FROM movie')).rowCount).toBe(before);
  });

  it('takes literals as it takes variables', async () => {
    const mutation = (date: string, amount: string) =>
      subgraph.ask(
        `mutation { createMovie(input: { title: "Literal", releaseDate: ${date},
           productionBudget: { amount: ${amount}, currency: "USD" } }) { releaseDate } }`,
        {},
        asAna,
      );
    expect((await mutation('"2026-02-28"', '"5"')).data).toEqual({
      createMovie: { releaseDate: '2026-02-28' },
    });
    expect(codeOf(await mutation('20260228', '"5"'))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutation('"2026-02-28"', '5'))).toBe('BAD_USER_INPUT');
  });

  it('needs a viewer, as every mutation does', async () => {
    for (const mutation of [
      'createMovie(input: { title: "Nobody\'s" }) { id }',
      'updateMovie(id: "x", version: 1, input: {}) { id }',
      'upsertMovie(id: "x", input: { title: "x" }) { id }',
      'deleteMovie(id: "x")',
    ]) {
      const answer = await subgraph.ask(`mutation { answer: ${mutation} }`);
      expect([answer.data, codeOf(answer)]).toEqual([{ answer: null }, 'UNAUTHENTICATED']);
    }
    expect(await countMovies(`Nobody's`)).toBe(0);
  });
});

describe('an idempotency key', () => {
  it('sent five times at once adds one movie and gives five equal answers', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => create({ title: 'Once', genres: ['Drama'] }, 'key-1')),
    );
    expect(await countMovies('Once')).toBe(1);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]?.data?.['createMovie']).toMatchObject({ title: 'Once', version: 1 });
  });

  it('gives what was answered then, whatever became of the movie', async () => {
    const first = await create({ title: 'Then' }, 'key-2');
    const { id } = first.data?.['createMovie'] as { id: string };
    await update(id, 1, { title: 'Now', genres: ['Horror'] });
    expect((await create({ title: 'Then' }, 'key-2')).data).toEqual(first.data);
  });

  it("is refused with other arguments, and is the viewer's own", async () => {
    await create({ title: 'Mine' }, 'key-3');
    expect(codeOf(await create({ title: 'Other' }, 'key-3'))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect((await create({ title: 'Mine' }, 'key-3', 'ben')).errors).toBeUndefined();
    expect(await countMovies('Mine')).toBe(2);
    expect(await countMovies('Other')).toBe(0);
  });

  it('gives a refusal again', async () => {
    const input = { title: 'Refused', directors: [{ id: 'person:later' }] };
    expect(codeOf(await create(input, 'key-4'))).toBe('PERSON_NOT_FOUND');
    await subgraph.pool.query(`INSERT INTO person (id, name) VALUES ('person:later', 'Late')`);
    expect(codeOf(await create(input, 'key-4'))).toBe('PERSON_NOT_FOUND');
  });

  it('is kept for 24 hours, then free again', async () => {
    const today = now;
    const hoursAgo = (hours: number) => new Date(today.getTime() - hours * 60 * 60 * 1000);
    for (const [moment, count] of [
      [hoursAgo(48), 1],
      [hoursAgo(24.1), 1],
      [hoursAgo(24), 2],
      [today, 3],
    ] as const) {
      now = moment;
      expect((await create({ title: 'Daily' }, 'key-5')).errors).toBeUndefined();
      expect([moment, await countMovies('Daily')]).toEqual([moment, count]);
    }
  });

  it('has from 1 to 200 characters', async () => {
    expect(codeOf(await create({ title: 'x' }, ''))).toBe('BAD_USER_INPUT');
    expect(codeOf(await create({ title: 'x' }, 'k'.repeat(201)))).toBe('BAD_USER_INPUT');
  });
});

describe('updateMovie', () => {
  it('changes what is given, clears what is null, keeps the rest and raises the version', async () => {
    const movie = await created(brazil);
    const { data } = await update(movie.id, 1, {
      description: null,
      releaseDate: '1986-01-01',
      genres: ['Drama'],
      cast: null,
      productionBudget: null,
      domesticGross: { amount: '9.50', currency: 'USD' },
    });
    const expected = {
      ...movie,
      version: 2,
      description: null,
      releaseDate: '1986-01-01',
      releaseYear: 1986,
      genres: [{ id: 'drama', name: 'Drama' }],
      cast: [],
      productionBudget: null,
      domesticGross: { amount: '9.5' },
    };
    expect(data?.['updateMovie']).toEqual(expected);
    expect(await read(movie.id)).toEqual(expected);
  });

  it('is refused with the current version when the movie was changed meanwhile', async () => {
    const { id } = await created({ title: 'Changed' });
    await update(id, 1, { title: 'Changed once' });
    const refused = await update(id, 1, { title: 'Changed twice' });
    expect([refused.data, codeOf(refused), detailsOf(refused)]).toEqual([
      { updateMovie: null },
      'VERSION_CONFLICT',
      { currentVersion: 2 },
    ]);
    expect(await read(id)).toMatchObject({ title: 'Changed once', version: 2 });
  });

  it('of one version is won by exactly one of twenty at once', async () => {
    const { id } = await created({ title: 'Raced' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        update(id, 1, { title: `Raced by ${index}`, genres: [`G${index}`] }),
      ),
    );
    const winners = answers.filter(({ errors }) => errors === undefined);
    expect(winners).toHaveLength(1);
    expect(answers.filter((answer) => codeOf(answer) === 'VERSION_CONFLICT')).toHaveLength(19);
    expect(await read(id)).toEqual(winners[0]?.data?.['updateMovie']);
  });

  it("refuses a movie that is not known, one that was deleted, a null title and a year that is not the date's", async () => {
    const { id } = await created({ title: 'Kept', releaseDate: '2000-01-01' });
    expect(codeOf(await update('nothing', 1, { title: 'x' }))).toBe('MOVIE_NOT_FOUND');
    expect(codeOf(await update(id, 1, { title: null }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await update(id, 1, { releaseYear: 2001 }))).toBe('BAD_USER_INPUT');
    await remove(id);
    expect(codeOf(await update(id, 2, { title: 'x' }))).toBe('MOVIE_DELETED');
  });
});

describe('upsertMovie', () => {
  it('adds a movie under the id given, then changes it', async () => {
    expect((await upsert({ id: 'movielens:1' }, { title: 'Toy Story', releaseYear: 1995 })).data).toEqual({
      upsertMovie: expect.objectContaining({ id: 'movielens:1', version: 1, releaseYear: 1995 }),
    });
    expect((await upsert({ id: 'movielens:1' }, { title: 'Toy Story!' })).data).toEqual({
      upsertMovie: expect.objectContaining({
        id: 'movielens:1',
        version: 2,
        title: 'Toy Story!',
        releaseYear: 1995,
      }),
    });
  });

  it('finds a movie by an id that others gave it, or adds one that has it', async () => {
    const externalId = { source: 'imdb', value: 'tt0114709' };
    const first = (await upsert({ externalId }, { title: 'Toy Story' })).data?.['upsertMovie'] as {
      id: string;
    };
    expect(first).toMatchObject({ version: 1, externalIds: [externalId] });
    expect((await upsert({ externalId }, { title: 'Toy Story 1' })).data).toEqual({
      upsertMovie: expect.objectContaining({ id: first.id, version: 2, externalIds: [externalId] }),
    });
  });

  it('of one external id adds one movie, however many come at once', async () => {
    const externalId = { source: 'imdb', value: 'tt0133093' };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => upsert({ externalId }, { title: `The Matrix ${index}` })),
    );
    expect(answers.flatMap(({ errors }) => errors ?? [])).toEqual([]);
    expect(new Set(answers.map(({ data }) => (data?.['upsertMovie'] as { id: string }).id)).size).toBe(1);
  });

  it('refuses both ids, none, one that could be no id, and a deleted movie', async () => {
    const externalId = { source: 'imdb', value: 'tt0000001' };
    expect(codeOf(await upsert({ id: 'a', externalId }, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await upsert({}, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await upsert({ id: 'a b' }, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await upsert({ externalId: { source: 'imdb', value: '1' } }, { title: 'x' }))).toBe(
      'BAD_USER_INPUT',
    );
    await upsert({ id: 'movielens:2' }, { title: 'Jumanji' });
    await remove('movielens:2');
    expect(codeOf(await upsert({ id: 'movielens:2' }, { title: 'Jumanji' }))).toBe('MOVIE_DELETED');
  });
});

describe('an external id', () => {
  it('belongs to one movie, also after that was deleted', async () => {
    const externalIds = [{ source: 'tmdb', value: '68' }];
    const { id } = await created({ title: 'Owner', externalIds });
    const other = await created({ title: 'Other' });
    for (const refused of [
      await create({ title: 'Thief', externalIds }),
      await update(other.id, 1, { externalIds }),
    ]) {
      expect([codeOf(refused), detailsOf(refused)]).toEqual([
        'EXTERNAL_ID_TAKEN',
        { movieId: id, source: 'tmdb', value: '68' },
      ]);
    }
    await remove(id);
    expect(codeOf(await create({ title: 'Thief', externalIds }))).toBe('EXTERNAL_ID_TAKEN');
  });

  it('is got by one of eight movies that are added at once', async () => {
    const externalIds = [{ source: 'tmdb', value: '603' }];
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => create({ title: 'Racer', externalIds })),
    );
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1);
    expect(answers.filter((answer) => codeOf(answer) === 'EXTERNAL_ID_TAKEN')).toHaveLength(7);
    expect(await countMovies('Racer')).toBe(1);
  });
});

describe('deleteMovie', () => {
  it('takes a movie out of every list, and is harmless when repeated', async () => {
    const movie = await created({
      title: 'Doomed',
      genres: ['Doom'],
      directors: [{ name: 'Doomed Director' }],
    });
    const [director] = movie['directors'] as { id: string }[];
    expect((await remove(movie.id)).data).toEqual({ deleteMovie: movie.id });
    expect((await remove(movie.id)).data).toEqual({ deleteMovie: movie.id });
    expect(await read(movie.id)).toBeNull();
    const { data } = await subgraph.ask(
      `query ($person: ID!) {
         byTitle: movies(filter: { title: "doomed" }) { totalCount nodes { id } }
         byGenre: movies(filter: { genre: "doom" }) { totalCount }
         byPerson: movies(filter: { person: $person }) { totalCount }
         person(id: $person) { filmography { totalCount nodes { movie { id } } } }
         genres { id movieCount } }`,
      { person: director?.id },
    );
    expect(data).toMatchObject({
      byTitle: { totalCount: 0, nodes: [] },
      byGenre: { totalCount: 0 },
      byPerson: { totalCount: 0 },
      person: { filmography: { totalCount: 0, nodes: [] } },
    });
    expect(data?.['genres']).toContainEqual({ id: 'doom', movieCount: 0 });
  });

  it('refuses an unknown movie, and another version than the one given', async () => {
    const { id } = await created({ title: 'Versioned' });
    expect(codeOf(await remove('nothing'))).toBe('MOVIE_NOT_FOUND');
    const refused = await remove(id, 2);
    expect([codeOf(refused), detailsOf(refused)]).toEqual(['VERSION_CONFLICT', { currentVersion: 1 }]);
    expect((await remove(id, 1)).data).toEqual({ deleteMovie: id });
  });
});

describe('an import beside people', () => {
  it('and their edits at the same time leave each movie whole', async () => {
    await Promise.all([
      importInto(catalogue, subgraph.pool),
      ...Array.from({ length: 20 }, (_, index) =>
        upsert({ id: `vega:${index * 150 + 1}` }, { title: `Edited ${index}` }),
      ),
    ]);
    for (let index = 0; index < 20; index += 1) {
      expect(await read(`vega:${index * 150 + 1}`)).toMatchObject({ title: `Edited ${index}` });
    }
    expect(await importInto(catalogue, subgraph.pool)).toMatchObject({ written: 0 });
  });
});
