import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { incomingRatings } from '@cinegraph/events/topics';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import type { Chance } from './support.js';
import { differenceOf, storedTotals, totalsOf, type FaultWorld, type Totals } from './world.js';

/** A rating by a viewer who gives no other, and what came of it. */
export interface Vote {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number;
  /** `acknowledged`, the code of the refusal, or `broken`: nobody knows. */
  readonly outcome: string;
  /** By `performance.now()`. */
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

/** Sends a vote to a process and answers what came of it; never rejects. */
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

/** Votes that go on until they are stopped, by so many clients at once, to whichever processes `urls` names. */
export const startVoting = (
  world: FaultWorld,
  options: {
    readonly chance: Chance;
    /** How its movies and viewers begin: each test has its own. */
    readonly name: string;
    readonly clients: number;
    readonly urls: () => readonly string[];
    /** The pause of a client between two votes; none unless told. */
    readonly pauseMs?: number;
  },
) => {
  const { chance, name, clients, urls, pauseMs = 0 } = options;
  const votes: Vote[] = [];
  let sent = 0;
  let stopping = false;
  const vote = async () => {
    while (!stopping) {
      const to = urls();
      const url = to[chance.int(to.length)];
      if (url === undefined) {
        await delay(20);
        continue;
      }
      sent += 1;
      const movieId = `${name}:${chance.int(20)}`;
      const said = await cast(world, url, {
        movieId,
        viewerId: `${name}:${sent}`,
        score: 1 + chance.int(10),
      });
      votes.push(said);
      if (said.outcome !== 'acknowledged') await delay(20);
      else if (pauseMs > 0) await delay(pauseMs);
    }
  };
  const running = Array.from({ length: clients }, vote);
  return {
    /** What was answered so far. */
    votes: votes as readonly Vote[],
    /** Ends it and answers all of them. */
    stop: async (): Promise<readonly Vote[]> => {
      stopping = true;
      await Promise.all(running);
      return votes;
    },
  };
};

/** The votes that were acknowledged. */
export const acknowledged = (votes: readonly Vote[]): readonly Vote[] =>
  votes.filter(({ outcome }) => outcome === 'acknowledged');

/**
 * Holds the tables against the votes of one name: those acknowledged and not there are lost; what is there without having
 * been sent, and what an aggregate counts beyond its ratings, is double.
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

/** A rating as others send it to the topic `ratings`; the viewer becomes `ratings:<user>`. */
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
