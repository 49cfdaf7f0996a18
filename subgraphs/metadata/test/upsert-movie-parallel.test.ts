import type { GraphQLAnswer } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asEditor, codeOf, movieOf, startMutations } from './support/mutations.js';

let mutations: Awaited<ReturnType<typeof startMutations>>;
beforeAll(async () => {
  mutations = await startMutations();
});
afterAll(() => mutations.subgraph.stop());

const times = <Result>(count: number, work: (index: number) => Promise<Result>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

/** Selects columns of the movie only: a reply with lists needs a connection of its own after the commit. */
const upsert = (externalId: { source: string; value: string }, input: unknown) =>
  mutations.subgraph.ask(
    `mutation ($externalId: ExternalIdInput, $input: MovieInput!) {
       upsertMovie(externalId: $externalId, input: $input) { movie { id version description } } }`,
    { externalId, input },
    asEditor,
  );

/** The codes of refusals, without those of writes that waited too long for a connection and were not made. */
const refusalsOf = (answers: readonly GraphQLAnswer[]) =>
  answers.map(codeOf).filter((code) => code !== undefined && code !== 'STORE_UNAVAILABLE');

interface Upserted {
  readonly id: string;
  readonly version: number;
  readonly description: string | null;
}
const upserted = (answers: readonly GraphQLAnswer[]) =>
  answers.flatMap((answer) => (movieOf(answer) as Upserted | undefined) ?? []);

/** Expects that each successful upsert made one version of one movie, and that the last one is stored. */
const expectNoneLost = async (answers: readonly GraphQLAnswer[], title: string) => {
  const movies = upserted(answers).toSorted((a, b) => a.version - b.version);
  expect(movies.map(({ version }) => version)).toEqual(movies.map((_, index) => index + 1));
  expect(new Set(movies.map(({ id }) => id)).size).toBe(1);
  expect(await mutations.countMovies(title)).toBe(1);
  expect(await mutations.read(movies[0]?.id ?? '')).toMatchObject({ ...movies.at(-1) });
};

describe('parallel upserts', () => {
  it('in each of twenty rounds, eight parallel upserts of a new external id make one movie', async () => {
    for (let round = 10; round < 30; round += 1) {
      const externalId = { source: 'imdb', value: `tt00010${round}` };
      const title = `Upserted ${round}`;
      const answers = await times(8, (index) => upsert(externalId, { title, description: `from ${index}` }));
      expect([round, refusalsOf(answers)]).toEqual([round, []]);
      await expectNoneLost(answers, title);
    }
  }, 60_000);

  it('of 120 parallel upserts of a new external id, none is refused because the id is taken', async () => {
    const externalId = { source: 'imdb', value: 'tt0001999' };
    const answers = await times(120, (index) =>
      upsert(externalId, { title: 'Crowded', description: `from ${index}` }),
    );
    expect(refusalsOf(answers)).toEqual([]);
    await expectNoneLost(answers, 'Crowded');
  }, 60_000);

  it('an upsert succeeds while movies with the same external id are created', async () => {
    for (let round = 10; round < 20; round += 1) {
      const externalId = { source: 'imdb', value: `tt00020${round}` };
      const title = `Contested ${round}`;
      const [upserts, creations] = await Promise.all([
        times(4, () => upsert(externalId, { title })),
        times(4, () => mutations.create({ title, externalIds: [externalId] })),
      ]);
      expect([round, refusalsOf(upserts)]).toEqual([round, []]);
      expect(refusalsOf(creations).filter((code) => code !== 'EXTERNAL_ID_TAKEN')).toEqual([]);
      expect(await mutations.countMovies(title)).toBe(1);
    }
  }, 60_000);

  it('an upsert is refused if another of its external ids belongs to another movie', async () => {
    const taken = { source: 'imdb', value: 'tt0003000' };
    await mutations.created({ title: 'Owner', externalIds: [taken] });
    const answer = await mutations.upsert(
      { externalId: { source: 'imdb', value: 'tt0003001' } },
      { title: 'Other', externalIds: [taken] },
    );
    expect([answer.data, codeOf(answer)]).toEqual([{ upsertMovie: null }, 'EXTERNAL_ID_TAKEN']);
  });
});

describe('a mutation that names nothing', () => {
  const unknown = ['nothing', '', ' ', 'x'.repeat(129), 'vega:0', 'person:vega:nobody'];

  it.each(unknown)(
    'updateMovie and deleteMovie of the unknown id "%s" are refused with a code',
    async (id) => {
      const update = await mutations.update(id, 1, { title: 'x' });
      expect([update.data, codeOf(update)]).toEqual([{ updateMovie: null }, 'MOVIE_NOT_FOUND']);
      const removal = await mutations.remove(id);
      expect([removal.data, codeOf(removal)]).toEqual([{ deleteMovie: null }, 'MOVIE_NOT_FOUND']);
    },
  );

  it('a person of an unknown id is refused with PERSON_NOT_FOUND in each mutation', async () => {
    const directors = [{ id: 'person:nobody' }];
    const { id } = await mutations.created({ title: 'Known' });
    const answers = [
      await mutations.create({ title: 'x', directors }),
      await mutations.update(id, 1, { directors }),
      await mutations.upsert({ id }, { title: 'x', directors }),
      await mutations.upsert({ id: 'new' }, { title: 'x', cast: [{ person: { id: 'person:nobody' } }] }),
    ];
    expect(answers.map(codeOf)).toEqual(Array.from({ length: 4 }, () => 'PERSON_NOT_FOUND'));
  });

  it('upsertMovie of a deleted movie and of no id at all are refused with a code', async () => {
    const { id } = await mutations.created({ title: 'Gone' });
    await mutations.remove(id);
    expect(codeOf(await mutations.upsert({ id }, { title: 'Gone' }))).toBe('MOVIE_DELETED');
    expect(codeOf(await mutations.upsert({}, { title: 'Gone' }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await mutations.upsert({ id: '' }, { title: 'Gone' }))).toBe('BAD_USER_INPUT');
  });
});
