import { startTestSubgraph, statementsDuring, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { countUnknown } from '../src/queries/aggregated-ratings.js';
import { rating } from '../src/subgraph.js';
import { know, remove } from './known.js';

/** The aggregate of a movie as tests read it. */
export interface Aggregate {
  readonly average: number | null;
  readonly count: number;
  readonly histogram: readonly { readonly score: number; readonly count: number }[];
}

/** Starts rating on its own database, and returns it with functions that rate and read movies. */
export const ratingWorld = async (options: { databaseUrl?: string } = {}) => {
  const subgraph = await startTestSubgraph(rating, options);
  return { subgraph, ...actions(subgraph) };
};

export const submit = `mutation ($movieId: ID!, $score: Score!, $review: String, $key: String) {
  submitRating(movieId: $movieId, score: $score, review: $review, idempotencyKey: $key) {
    rating { score review createdAt updatedAt }
    movie { id aggregatedRating { average count histogram { score count } } }
  }
}`;

export const retract = `mutation ($movieId: ID!, $key: String) {
  retractRating(movieId: $movieId, idempotencyKey: $key) {
    retracted
    movie { id aggregatedRating { average count } }
  }
}`;

export const entities = `query ($ids: [_Any!]!) {
  _entities(representations: $ids) {
    ... on Movie { id aggregatedRating { average count histogram { score count } } }
  }
}`;

/** Returns a function that makes a movie known when it is first called with its id. */
const knowOnce = (pool: TestSubgraph['pool']) => {
  const known = new Map<string, Promise<void>>();
  return {
    know: (movieId: string): Promise<void> => {
      const knowing = known.get(movieId) ?? know(pool, movieId);
      known.set(movieId, knowing);
      return knowing;
    },
    clear: () => known.clear(),
  };
};

const actions = ({ ask, pool }: TestSubgraph, once = knowOnce(pool)) => ({
  /** Makes movies known, as metadata's events do. */
  know: (...movieIds: readonly string[]) => know(pool, ...movieIds),
  /** Empties the tables of ratings and movies, and `more` ones. */
  clear: async (more: readonly string[] = []) => {
    once.clear();
    await pool.query(`TRUNCATE ${['rating', 'aggregated_rating', 'known_movie', ...more].join(', ')}`);
  },
  /** Deletes movies, as metadata's events do. */
  remove: (...movieIds: readonly string[]) => remove(pool, ...movieIds),
  /**
   * Rates a movie, which becomes known first, and returns the aggregate that the mutation returned. Throws
   * on a refusal.
   */
  rate: async (viewer: string, movieId: string, score: number, key?: string): Promise<Aggregate> => {
    await once.know(movieId);
    const { data, errors } = await ask(submit, { movieId, score, key: key ?? null }, { viewer });
    if (errors) throw new Error(JSON.stringify(errors));
    const { submitRating } = data as { submitRating: { movie: { aggregatedRating: Aggregate } } };
    return submitRating.movie.aggregatedRating;
  },
  /** Retracts a rating of a movie, which becomes known first. Throws on a refusal. */
  retract: async (viewer: string, movieId: string) => {
    await once.know(movieId);
    const { data, errors } = await ask(retract, { movieId }, { viewer });
    if (errors) throw new Error(JSON.stringify(errors));
    return (data as { retractRating: { retracted: boolean; movie: { aggregatedRating: Aggregate } } })
      .retractRating;
  },
  /** Returns the aggregate of a movie, requested as the gateway does. */
  aggregateOf: async (movieId: string): Promise<Aggregate> => {
    const { data, errors } = await ask(entities, { ids: [{ __typename: 'Movie', id: movieId }] });
    if (errors) throw new Error(JSON.stringify(errors));
    const [movie] = (data as { _entities: { aggregatedRating: Aggregate }[] })._entities;
    if (!movie) throw new Error('no entity');
    return movie.aggregatedRating;
  },
  /** Counts the ratings of movies that metadata has not published. */
  unknown: async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    try {
      return await countUnknown(prisma);
    } finally {
      await prisma.$disconnect();
    }
  },
  /**
   * Returns the movies whose stored sum and count differ from those of their ratings; there should be none.
   */
  drift: async (): Promise<readonly string[]> => {
    const { rows } = await pool.query<{ id: string }>(`
      SELECT coalesce(a.movie_id, r.movie_id) AS id
      FROM aggregated_rating a FULL JOIN (
        SELECT movie_id, sum(score) AS sum, count(score) AS count FROM rating GROUP BY movie_id
      ) r ON r.movie_id = a.movie_id
      WHERE (coalesce(a.sum, 0), coalesce(a.count, 0)) <> (coalesce(r.sum, 0), coalesce(r.count, 0))`);
    return rows.map(({ id }) => id);
  },
});

/** Returns the SQL statements of requests, without those that look for work. */
export const requestStatements = (work: () => Promise<unknown>): Promise<readonly string[]> =>
  statementsDuring(work, /"vote_move"|"deleted_viewer"/);
