import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { incomingRatings } from '@cinegraph/events/topics';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import { know, numbered } from '../support/known-movies.js';
import type { FaultRandom } from './support.js';
import { differenceOf, storedTotals, totalsOf, type FaultWorld, type Totals } from './world.js';

/** The only rating of a viewer, and its outcome. */
export interface Vote {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number;
  /** `acknowledged`, the code of a refusal, or `broken` if the outcome is unknown. */
  readonly outcome: string;
  /** The time by `performance.now()`. */
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** The mutation of the votes. */
export const submitRating = `mutation ($movieId: ID!, $score: Score!, $key: String) {
  submitRating(movieId: $movieId, score: $score, idempotencyKey: $key) {
    rating { score createdAt }
    movie { id aggregatedRating { count average } }
  }
}`;

/** Sends a vote to a process and returns its outcome. Never rejects. */
export const cast = async (
  world: FaultWorld,
  url: string,
  vote: Pick<Vote, 'movieId' | 'viewerId' | 'score'>,
): Promise<Vote> => {
  const askedAt = performance.now();
  const { movieId, viewerId, score } = vote;
  const outcome = await world.ask(url, submitRating, { movieId, score }, viewerId).then(
    ({ data, errors }) => {
      if (data?.['submitRating'] && !errors) return 'acknowledged';
      const code = errors?.[0]?.extensions?.['code'];
      return typeof code === 'string' ? code : 'no code';
    },
    () => 'broken',
  );
  return { ...{ movieId, viewerId, score, outcome, askedAt }, answeredAt: performance.now() };
};

/** How many movies `startVoting` votes for. */
const moviesEach = 20;

/**
 * Makes 20 movies known, and sends votes for them by `clients` concurrent clients to the processes at
 * `urls`, until it is stopped.
 */
export const startVoting = (
  world: FaultWorld,
  options: {
    readonly random: FaultRandom;
    /** The prefix of its movies and viewers. Each test has its own. */
    readonly name: string;
    readonly clients: number;
    readonly urls: () => readonly string[];
    /** The pause of a client between two votes. The default is none. */
    readonly pauseMs?: number;
  },
) => {
  const { random, name, clients, urls, pauseMs = 0 } = options;
  const votes: Vote[] = [];
  let sent = 0;
  let stopping = false;
  const known = know(world.pool, numbered(name, moviesEach));
  const vote = async () => {
    await known;
    while (!stopping) {
      const to = urls();
      const url = to[random.int(to.length)];
      if (url === undefined) {
        await delay(20);
        continue;
      }
      sent += 1;
      const movieId = `${name}:${random.int(moviesEach)}`;
      const said = await cast(world, url, {
        movieId,
        viewerId: `${name}:${sent}`,
        score: 1 + random.int(10),
      });
      votes.push(said);
      if (said.outcome !== 'acknowledged') await delay(20);
      else if (pauseMs > 0) await delay(pauseMs);
    }
  };
  const running = Array.from({ length: clients }, vote);
  return {
    /** The votes whose outcome is known. */
    votes: votes as readonly Vote[],
    /** Stops voting and returns all votes. */
    stop: async (): Promise<readonly Vote[]> => {
      stopping = true;
      await Promise.all(running);
      return votes;
    },
  };
};

/** Returns the acknowledged votes. */
export const acknowledged = (votes: readonly Vote[]): readonly Vote[] =>
  votes.filter(({ outcome }) => outcome === 'acknowledged');

/**
 * Compares the tables with the votes of one name. Acknowledged votes that are missing are lost. Ratings that
 * were never sent, and what an aggregate counts beyond its ratings, are double.
 */
export const auditVotes = async (pool: FaultWorld['pool'], name: string, votes: readonly Vote[]) => {
  const { rows } = await pool.query<{ movieId: string; viewerId: string; score: number }>(
    `SELECT movie_id AS "movieId", viewer_id AS "viewerId", score::int FROM rating
     WHERE starts_with(movie_id, $1) AND score IS NOT NULL`,
    [`${name}:`],
  );
  const stored = new Map(rows.map((row) => [row.viewerId, row]));
  const sent = new Map(votes.map((vote) => [vote.viewerId, vote]));
  const lost = acknowledged(votes).filter(({ movieId, viewerId, score }) => {
    return !isDeepStrictEqual(stored.get(viewerId), { movieId, viewerId, score });
  }).length;
  const strangers = rows.filter(({ viewerId }) => !sent.has(viewerId)).length;
  const counted = differenceOf(totalsOf(rows), only(await storedTotals(pool), name));
  return { lost: lost + counted.lost, double: strangers + counted.double };
};

const only = (totals: Totals, name: string): Totals =>
  new Map([...totals].filter(([id]) => id.startsWith(`${name}:`)));

/** Returns an external rating for the topic `ratings`. Its viewer becomes `ratings:<user>`. */
export const externalVote = (movieId: string, user: string, score: number): OutgoingMessage => ({
  topic: incomingRatings.name,
  key: movieId,
  value: Buffer.from(
    JSON.stringify({
      ...{ userId: user, recordId: movieId, recordType: 'movie', value: score },
      ...{ providerId: 'test-provider', eventType: 'put' },
    }),
  ),
  headers: {},
});
