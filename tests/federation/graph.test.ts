import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { statementsDuring } from '@cinegraph/testing/subgraph';
import { bearerOf } from '@cinegraph/testing/tokens';
import { know } from '../support/known-movies.js';
import { startTestGraph, type TestGraph } from '../support/graph.js';

let graph: TestGraph;
beforeAll(async () => {
  graph = await startTestGraph();
});
afterAll(() => graph.stop());

const create = async (title: string): Promise<string> => {
  const { data, errors } = await graph.ask(
    'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
    { input: { title } },
    bearerOf('editor', { scopes: ['catalogue:write'] }),
  );
  if (errors) throw new Error(JSON.stringify(errors));
  const { id } = (data as { createMovie: { movie: { id: string } } }).createMovie.movie;
  // No broker runs here.
  await know(graph.subgraphs.rating.pool, [id]);
  return id;
};

/** Without the statements of rating that look for votes to move. */
const requestStatements = (work: () => Promise<unknown>) => statementsDuring(work, /"vote_move"/);

const rate = (movieId: string, viewer: string, score: number) =>
  graph.ask(
    `mutation ($movieId: ID!, $score: Score!) {
       submitRating(movieId: $movieId, score: $score) {
         rating { score }
         movie { title aggregatedRating { average count } myRating { score } }
       }
     }`,
    { movieId, score },
    bearerOf(viewer),
  );

describe('gateway and subgraphs', () => {
  it('100 movies with aggregated ratings cost one fetch and one SQL statement per subgraph', async () => {
    await graph.subgraphs.metadata.pool.query(
      `INSERT INTO movie (id, title, version, created_at, updated_at)
       SELECT 'many:' || n, 'Many ' || lpad(n::text, 3, '0'), 1, now(), now() FROM generate_series(1, 100) n`,
    );
    const query = `{ movies(first: 100, filter: { title: "Many " }) {
      nodes { id title aggregatedRating { average count histogram { score count } } } } }`;
    let answer: Awaited<ReturnType<TestGraph['ask']>> | undefined;
    let statements: readonly string[] = [];
    const fetches = await graph.fetchesDuring(async () => {
      statements = await requestStatements(async () => {
        answer = await graph.ask(query);
      });
    });
    expect(answer?.errors).toBeUndefined();
    const { nodes } = (answer?.data as { movies: { nodes: { aggregatedRating: unknown }[] } }).movies;
    expect(nodes).toHaveLength(100);
    expect(nodes.every(({ aggregatedRating }) => aggregatedRating !== null)).toBe(true);
    expect(fetches).toEqual(['metadata', 'rating']);
    expect(statements).toHaveLength(2);
  });

  it('all references of a list that starts in rating cost one fetch per subgraph', async () => {
    await graph.subgraphs.rating.pool.query(
      `INSERT INTO aggregated_rating (movie_id, movie_state, sum, count, s9)
       SELECT 'many:' || n, 'known', 9 * n, n, n FROM generate_series(1, 100) n ON CONFLICT DO NOTHING`,
    );
    let statements: readonly string[] = [];
    const fetches = await graph.fetchesDuring(async () => {
      statements = await requestStatements(async () => {
        const { data } = await graph.ask(
          '{ topRated(first: 100) { nodes { title aggregatedRating { average } } } }',
        );
        expect((data as { topRated: { nodes: unknown[] } }).topRated.nodes).toHaveLength(100);
      });
    });
    expect(fetches).toEqual(['rating', 'metadata']);
    // The fetches are those of the list, its aggregates, and the titles.
    expect(statements).toHaveLength(3);
  });

  it('the response to a rating has the new average, with the title from the other subgraph', async () => {
    const movieId = await create('The Rated');
    expect((await rate(movieId, 'ann', 7)).data).toEqual({
      submitRating: {
        rating: { score: 7 },
        movie: {
          title: 'The Rated',
          aggregatedRating: { average: 7, count: 1 },
          myRating: { score: 7 },
        },
      },
    });
    await rate(movieId, 'bob', 4);
    expect((await rate(movieId, 'ann', 9)).data).toMatchObject({
      submitRating: { movie: { aggregatedRating: { average: 6.5, count: 2 } } },
    });
  });

  it('a refusal of a subgraph reaches the client with code, message and path, and nothing internal', async () => {
    const refused = await rate('m', 'ann', 94);
    expect(refused.errors).toHaveLength(1);
    expect(refused.errors?.[0]?.extensions).toEqual({ code: 'RATING_OUT_OF_RANGE' });
    expect(refused.errors?.[0]?.message).toContain('from 1 to 10');
    const nobody = await graph.ask('{ myRatings { totalCount } }');
    expect(nobody.errors).toMatchObject([{ path: ['myRatings'], extensions: { code: 'UNAUTHENTICATED' } }]);
  });

  it('introspection names the public specification of a scalar', async () => {
    const { data } = await graph.ask('{ __type(name: "DateTime") { specifiedByURL } }');
    expect(data).toEqual({
      __type: { specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html' },
    });
  });

  it('an unknown movie is null without an error', async () => {
    expect(await graph.ask('{ movie(id: "unknown") { title aggregatedRating { count } } }')).toEqual({
      status: 200,
      data: { movie: null },
    });
  });

  it('the fields of a deleted movie are null with a code, and its rating is there', async () => {
    const movieId = await create('The Deleted');
    await rate(movieId, 'ann', 10);
    await graph.ask(
      'mutation ($id: ID!) { deleteMovie(id: $id) { deletedMovieId } }',
      { id: movieId },
      bearerOf('editor', { scopes: ['catalogue:write'] }),
    );
    const { data, errors } = await graph.ask(
      '{ myRatings { nodes { score movie { title } } } }',
      {},
      bearerOf('ann'),
    );
    expect((data as { myRatings: { nodes: unknown[] } }).myRatings.nodes).toContainEqual({
      score: 10,
      movie: { title: null },
    });
    expect(errors?.map(({ extensions }) => extensions?.['code'])).toContain('MOVIE_DELETED');
  });

  it('a movie that was deleted a moment ago costs the list of the best rated nothing but its own fields', async () => {
    const movieId = await create('The Best');
    await graph.subgraphs.rating.pool.query(
      'UPDATE aggregated_rating SET sum = 10000, count = 1000, s10 = 1000 WHERE movie_id = $1',
      [movieId],
    );
    await graph.ask(
      'mutation ($id: ID!) { deleteMovie(id: $id) { deletedMovieId } }',
      { id: movieId },
      bearerOf('editor', { scopes: ['catalogue:write'] }),
    );
    const { data, errors } = await graph.ask(
      '{ topRated(first: 2) { nodes { id title aggregatedRating { count } } } }',
    );
    const { nodes } = (data as { topRated: { nodes: unknown[] } }).topRated;
    expect(nodes).toHaveLength(2);
    expect(nodes[0]).toEqual({ id: movieId, title: null, aggregatedRating: { count: 1000 } });
    expect(errors?.map(({ extensions }) => extensions?.['code'])).toContain('MOVIE_DELETED');
  });

  it('ratings of two movies with the same title are counted separately', async () => {
    const [first, second] = [await create('Remake'), await create('Remake')];
    expect(first).not.toBe(second);
    await rate(first, 'ann', 2);
    expect((await rate(second, 'ann', 8)).data).toMatchObject({
      submitRating: { movie: { aggregatedRating: { average: 8, count: 1 } } },
    });
  });

  it('a rating is read again by its id, which does not show the viewer', async () => {
    const movieId = await create('Read Again');
    expect((await rate(movieId, 'ann.example', 8)).errors).toBeUndefined();
    const { data } = await graph.ask('query ($id: ID!) { movie(id: $id) { ratings { nodes { id } } } }', {
      id: movieId,
    });
    const { id } = (data as { movie: { ratings: { nodes: [{ id: string }] } } }).movie.ratings.nodes[0];
    expect(id).toMatch(/^rating:/);
    expect(Buffer.from(id.slice('rating:'.length), 'base64url').toString('latin1')).not.toContain('ann');
    const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id
      ... on Rating { score movie { title } } ... on Movie { aggregatedRating { weightedScore } } } }`;
    expect(await graph.ask(query, { ids: [id, movieId] })).toMatchObject({
      data: {
        nodes: [
          { __typename: 'Rating', id, score: 8, movie: { title: 'Read Again' } },
          { __typename: 'Movie', id: movieId, aggregatedRating: { weightedScore: (325 + 8) / 51 } },
        ],
      },
    });
    expect((await graph.ask(query, { ids: ['rating:forged'] })).data).toEqual({ nodes: [null] });
  });
});

describe('the gateway without rating', () => {
  it('the fields of metadata are served while rating is down; the errors have paths and nothing internal', async () => {
    const movieId = await create('Alone');
    await graph.subgraphs.rating.stop();
    const answer = await graph.ask(
      'query ($id: ID!) { movie(id: $id) { title aggregatedRating { count } ratings { totalCount } } }',
      { id: movieId },
    );
    expect(answer.status).toBe(200);
    expect(answer.data).toEqual({ movie: { title: 'Alone', aggregatedRating: null, ratings: null } });
    expect(answer.errors?.map(({ path, extensions }) => [path, extensions])).toEqual([
      [['movie', 'aggregatedRating'], { code: 'SUBGRAPH_UNAVAILABLE' }],
      [['movie', 'ratings'], { code: 'SUBGRAPH_UNAVAILABLE' }],
    ]);
    expect(JSON.stringify(answer)).not.toMatch(/127\.0\.0\.1|localhost|:\d{4,5}\b|rating:|ECONN/);
    const ready = await fetch(`${graph.url}/health/ready`);
    expect(ready.status).toBe(200);
  });
});
