import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ratingWorld, requestStatements } from './world.js';

let world: Awaited<ReturnType<typeof ratingWorld>>;
beforeAll(async () => {
  world = await ratingWorld();
  await world.rate(ann, 'm:1', 1);
  await world.rate(ann, 'm:2', 2);
  await world.rate(ann, 'm:3', 3);
  await world.rate(bob, 'm:1', 9);
  await world.rate('movielens:7', 'm:1', 5);
});
afterAll(() => world.subgraph.stop());

const ann = '0199c0de-0000-7000-8000-00000000000a';
const bob = '0199c0de-0000-7000-8000-00000000000b';

interface Page {
  readonly nodes: readonly { readonly score: number; readonly movie: { readonly id: string } }[];
  readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
  readonly totalCount: number;
}

const pagesOf = async (users: readonly string[], first: number, after: string | null = null) => {
  const { data, errors } = await world.subgraph.ask(
    `query ($users: [_Any!]!, $first: Int!, $after: String) {
      _entities(representations: $users) {
        ... on User {
          ratings(first: $first, after: $after) {
            nodes { score movie { id } }
            pageInfo { endCursor hasNextPage }
            totalCount
          }
        }
      }
    }`,
    { users: users.map((id) => ({ __typename: 'User', id })), first, after },
  );
  if (errors) throw new Error(JSON.stringify(errors));
  return (data as { _entities: { ratings: Page }[] })._entities.map(({ ratings }) => ratings);
};

describe('User.ratings', () => {
  it('the ratings of users are listed newest first, page by page', async () => {
    const [first] = await pagesOf([ann], 2);
    expect(first).toMatchObject({
      nodes: [
        { score: 3, movie: { id: 'm:3' } },
        { score: 2, movie: { id: 'm:2' } },
      ],
      pageInfo: { hasNextPage: true },
      totalCount: 3,
    });
    const [second] = await pagesOf([ann], 2, first?.pageInfo.endCursor);
    expect(second).toMatchObject({ nodes: [{ score: 1 }], pageInfo: { hasNextPage: false } });
    expect(await pagesOf([bob, 'unknown'], 2)).toMatchObject([
      { nodes: [{ score: 9 }], totalCount: 1 },
      { nodes: [], totalCount: 0 },
    ]);
  });

  it('a cursor of another user is refused', async () => {
    const [page] = await pagesOf([ann], 1);
    await expect(pagesOf([bob], 1, page?.pageInfo.endCursor)).rejects.toThrow('BAD_USER_INPUT');
  });

  it('the ratings and counts of many users are one statement each', async () => {
    const statements = await requestStatements(() => pagesOf([ann, bob, 'unknown'], 3));
    // Ratings, counts, and which of their movies are known.
    expect(statements).toHaveLength(3);
  });
});

describe('Rating.user', () => {
  it('a rating has the user who gave it, and none if the viewer has no account', async () => {
    const { data, errors } = await world.subgraph.ask(
      `query ($movies: [_Any!]!) {
        _entities(representations: $movies) { ... on Movie { ratings { nodes { score user { id } } } } }
      }`,
      { movies: [{ __typename: 'Movie', id: 'm:1' }] },
    );
    expect(errors).toBeUndefined();
    const [movie] = (data as { _entities: { ratings: { nodes: object[] } }[] })._entities;
    expect(movie?.ratings.nodes).toEqual([
      { score: 5, user: null },
      { score: 9, user: { id: bob } },
      { score: 1, user: { id: ann } },
    ]);
  });
});
