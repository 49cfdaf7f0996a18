import { importInto } from '@cinegraph/subgraph/import/run-import';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { brazil, codeOf, detailsOf, movieOf, startMutations } from './support/mutations.js';

let mutations: Awaited<ReturnType<typeof startMutations>>;
beforeAll(async () => {
  mutations = await startMutations();
});
afterAll(() => mutations.subgraph.stop());

describe('updateMovie', () => {
  it('updateMovie changes what it contains, clears what is null, keeps the rest and increments the version', async () => {
    const movie = await mutations.created(brazil);
    const { data } = await mutations.update(movie.id, 1, {
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
    expect(data).toEqual({ updateMovie: { movie: expected } });
    expect(await mutations.read(movie.id)).toEqual(expected);
  });

  it('updateMovie of an outdated version is refused with the current version', async () => {
    const { id } = await mutations.created({ title: 'Changed' });
    await mutations.update(id, 1, { title: 'Changed once' });
    const refused = await mutations.update(id, 1, { title: 'Changed twice' });
    expect([refused.data, codeOf(refused), detailsOf(refused)]).toEqual([
      { updateMovie: null },
      'VERSION_CONFLICT',
      { currentVersion: 2 },
    ]);
    expect(await mutations.read(id)).toMatchObject({ title: 'Changed once', version: 2 });
  });

  it('exactly one of twenty concurrent updates of one version succeeds', async () => {
    const { id } = await mutations.created({ title: 'Raced' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        mutations.update(id, 1, { title: `Raced by ${index}`, genres: [`G${index}`] }),
      ),
    );
    const winners = answers.filter(({ errors }) => errors === undefined);
    expect(winners).toHaveLength(1);
    expect(answers.filter((answer) => codeOf(answer) === 'VERSION_CONFLICT')).toHaveLength(19);
    expect(await mutations.read(id)).toEqual(winners.map(movieOf)[0]);
  });

  it("updateMovie refuses an unknown movie, a deleted one, a null title and a year that is not the date's", async () => {
    const { id } = await mutations.created({ title: 'Kept', releaseDate: '2000-01-01' });
    expect(codeOf(await mutations.update('nothing', 1, { title: 'x' }))).toBe('MOVIE_NOT_FOUND');
    expect(codeOf(await mutations.update(id, 1, { title: null }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutations.update(id, 1, { releaseYear: 2001 }))).toBe('BAD_USER_INPUT');
    await mutations.remove(id);
    expect(codeOf(await mutations.update(id, 2, { title: 'x' }))).toBe('MOVIE_DELETED');
  });
});

describe('upsertMovie', () => {
  it('upsertMovie adds a movie with the requested id, then changes it', async () => {
    expect(
      (await mutations.upsert({ id: 'movielens:1' }, { title: 'Toy Story', releaseYear: 1995 })).data,
    ).toEqual({
      upsertMovie: { movie: expect.objectContaining({ id: 'movielens:1', version: 1, releaseYear: 1995 }) },
    });
    expect((await mutations.upsert({ id: 'movielens:1' }, { title: 'Toy Story!' })).data).toEqual({
      upsertMovie: {
        movie: expect.objectContaining({
          id: 'movielens:1',
          version: 2,
          title: 'Toy Story!',
          releaseYear: 1995,
        }),
      },
    });
  });

  it('upsertMovie finds a movie by its external id, or adds one that has it', async () => {
    const externalId = { source: 'imdb', value: 'tt0114709' };
    const first = movieOf(await mutations.upsert({ externalId }, { title: 'Toy Story' })) as { id: string };
    expect(first).toMatchObject({ version: 1, externalIds: [externalId] });
    expect((await mutations.upsert({ externalId }, { title: 'Toy Story 1' })).data).toEqual({
      upsertMovie: {
        movie: expect.objectContaining({ id: first.id, version: 2, externalIds: [externalId] }),
      },
    });
  });

  it('concurrent upserts of one external id add one movie', async () => {
    const externalId = { source: 'imdb', value: 'tt0133093' };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        mutations.upsert({ externalId }, { title: `The Matrix ${index}` }),
      ),
    );
    expect(answers.flatMap(({ errors }) => errors ?? [])).toEqual([]);
    expect(new Set(answers.map((answer) => (movieOf(answer) as { id: string }).id)).size).toBe(1);
  });

  it('upsertMovie refuses both ids, none, an invalid one, and a deleted movie', async () => {
    const externalId = { source: 'imdb', value: 'tt0000001' };
    expect(codeOf(await mutations.upsert({ id: 'a', externalId }, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutations.upsert({}, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutations.upsert({ id: 'a b' }, { title: 'x' }))).toBe('BAD_USER_INPUT');
    expect(
      codeOf(await mutations.upsert({ externalId: { source: 'imdb', value: '1' } }, { title: 'x' })),
    ).toBe('BAD_USER_INPUT');
    await mutations.upsert({ id: 'movielens:2' }, { title: 'Jumanji' });
    await mutations.remove('movielens:2');
    expect(codeOf(await mutations.upsert({ id: 'movielens:2' }, { title: 'Jumanji' }))).toBe('MOVIE_DELETED');
  });
});

describe('an external id', () => {
  it('an external id belongs to one movie, even after the movie was deleted', async () => {
    const externalIds = [{ source: 'tmdb', value: '68' }];
    const { id } = await mutations.created({ title: 'Owner', externalIds });
    const other = await mutations.created({ title: 'Other' });
    for (const refused of [
      await mutations.create({ title: 'Thief', externalIds }),
      await mutations.update(other.id, 1, { externalIds }),
    ]) {
      expect([codeOf(refused), detailsOf(refused)]).toEqual([
        'EXTERNAL_ID_TAKEN',
        { movieId: id, source: 'tmdb', value: '68' },
      ]);
    }
    await mutations.remove(id);
    expect(codeOf(await mutations.create({ title: 'Thief', externalIds }))).toBe('EXTERNAL_ID_TAKEN');
  });

  it('exactly one of eight movies that are added at once gets an external id', async () => {
    const externalIds = [{ source: 'tmdb', value: '603' }];
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => mutations.create({ title: 'Racer', externalIds })),
    );
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1);
    expect(answers.filter((answer) => codeOf(answer) === 'EXTERNAL_ID_TAKEN')).toHaveLength(7);
    expect(await mutations.countMovies('Racer')).toBe(1);
  });
});

describe('deleteMovie', () => {
  it('deleteMovie removes a movie from every list, and may be repeated', async () => {
    const movie = await mutations.created({
      title: 'Doomed',
      genres: ['Doom'],
      directors: [{ name: 'Doomed Director' }],
    });
    const [director] = movie['directors'] as { id: string }[];
    expect((await mutations.remove(movie.id)).data).toEqual({ deleteMovie: { deletedMovieId: movie.id } });
    expect((await mutations.remove(movie.id)).data).toEqual({ deleteMovie: { deletedMovieId: movie.id } });
    expect(await mutations.read(movie.id)).toBeNull();
    const { data } = await mutations.subgraph.ask(
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

  it('deleteMovie refuses an unknown movie, and a version that is not the current one', async () => {
    const { id } = await mutations.created({ title: 'Versioned' });
    expect(codeOf(await mutations.remove('nothing'))).toBe('MOVIE_NOT_FOUND');
    const refused = await mutations.remove(id, 2);
    expect([codeOf(refused), detailsOf(refused)]).toEqual(['VERSION_CONFLICT', { currentVersion: 1 }]);
    expect((await mutations.remove(id, 1)).data).toEqual({ deleteMovie: { deletedMovieId: id } });
  });
});

describe('an import and people', () => {
  it('an import and concurrent edits leave each movie consistent', async () => {
    // A write that waited too long for a connection is refused and not made. It is sent again.
    const edit = async (index: number): Promise<void> => {
      const answer = await mutations.upsert({ id: `vega:${index * 150 + 1}` }, { title: `Edited ${index}` });
      if (codeOf(answer) === 'STORE_UNAVAILABLE') return edit(index);
      expect(answer.errors).toBeUndefined();
    };
    await Promise.all([
      importInto(catalogue, mutations.subgraph.pool),
      ...Array.from({ length: 20 }, (_, index) => edit(index)),
    ]);
    for (let index = 0; index < 20; index += 1) {
      expect(await mutations.read(`vega:${index * 150 + 1}`)).toMatchObject({ title: `Edited ${index}` });
    }
    expect(await importInto(catalogue, mutations.subgraph.pool)).toMatchObject({ written: 0 });
  });
});
