import { inTransaction } from '@cinegraph/database/transaction';
import { seededRandom } from '@cinegraph/testing/seed';
import { describe, expect, it } from '@jest/globals';
import { findDrift } from '../src/command-line/rebuild.js';
import { moveAllVotes, moveStep } from '../src/move-votes.js';
import { writeKnownMovies, type KnownMovie } from '../src/write-known-movies.js';
import { writeRatings } from '../src/write-ratings.js';
import { useRatingDatabase } from './rating-database.js';

const database = useRatingDatabase();

interface Vote {
  readonly home: string;
  readonly score: number | null;
  readonly time: number;
}

const movies = ['a', 'b', 'c', 'd'];
const viewers = ['ann', 'bob', 'cyn', 'dan', 'eve'];

/**
 * Moves all votes in the moment of a join. The tables move them later, step by step, with the same result.
 */
const createModel = () => {
  const into = new Map<string, string>();
  const votes = new Map<string, Vote>();
  const superseded = new Map<string, Vote>();
  const keptIdOf = (movie: string): string => into.get(movie) ?? movie;
  const isNewer = (one: Vote, other: Vote) =>
    (one.score === null) === (other.score === null) ? one.time > other.time : one.score !== null;
  const put = (movie: string, viewer: string, vote: Vote) => {
    const present = votes.get(`${movie} ${viewer}`);
    const [winner, loser] = present && !isNewer(vote, present) ? [present, vote] : [vote, present];
    votes.set(`${movie} ${viewer}`, winner);
    if (loser) superseded.set(`${loser.home} ${viewer}`, loser);
  };
  const restore = (movie: string) => {
    for (const viewer of viewers) {
      const found = [...superseded].filter(
        ([key, { home }]) => key === `${home} ${viewer}` && keptIdOf(home) === movie,
      );
      const present = votes.has(`${movie} ${viewer}`);
      const [first] = found.toSorted(([, one], [, other]) => (isNewer(one, other) ? -1 : 1));
      if (first && !present) {
        votes.set(`${movie} ${viewer}`, first[1]);
        superseded.delete(first[0]);
      }
    }
  };
  return {
    keptIdOf,
    rate: (movie: string, viewer: string, score: number | null, time: number) => {
      const key = `${keptIdOf(movie)} ${viewer}`;
      if (score === null && votes.get(key)?.score == null) return;
      votes.set(key, { home: movie, score, time });
      for (const [old, { home }] of [...superseded]) {
        const isOfFilm = score === null && keptIdOf(home) === keptIdOf(movie);
        if (old === `${home} ${viewer}` && (home === movie || isOfFilm)) superseded.delete(old);
      }
    },
    join: (movie: string, kept: string) => {
      for (const [one, target] of [...into]) if (target === movie) into.set(one, kept);
      into.set(movie, kept);
      for (const viewer of viewers) {
        const vote = votes.get(`${movie} ${viewer}`);
        votes.delete(`${movie} ${viewer}`);
        if (vote) put(kept, viewer, vote);
      }
    },
    part: (movie: string) => {
      const kept = keptIdOf(movie);
      into.delete(movie);
      for (const viewer of viewers) {
        const vote = votes.get(`${kept} ${viewer}`);
        if (vote?.home !== movie) continue;
        votes.delete(`${kept} ${viewer}`);
        put(movie, viewer, vote);
      }
      restore(kept);
      restore(movie);
    },
    joined: () => [...into.keys()],
    kept: () => movies.filter((movie) => !into.has(movie)),
    list: () => [...votes].map(([key, { score, home }]) => `${key} ${score ?? '-'} for ${home}`).sort(),
  };
};

describe('votes of joined movies, in a model and in the tables', () => {
  it.each(Array.from({ length: 3 }, (_, n) => `joins ${n}`))(
    'votes, joins and partings in any order end as if all votes had moved at once: %s',
    async (seed) => {
      const random = seededRandom(seed);
      const { pick } = random;
      await database.pool.query(
        'TRUNCATE rating, superseded_rating, aggregated_rating, known_movie, vote_move, messaging.outbox',
      );
      const model = createModel();
      const versions = new Map<string, number>();
      const publish = async (movie: string, joinedInto: string | null): Promise<void> => {
        const version = (versions.get(movie) ?? 0) + 1;
        versions.set(movie, version);
        const state: KnownMovie = { movie, version, deleted: false, joinedInto };
        // Delivered twice, as after a crash.
        for (let times = 0; times < 2; times += 1)
          await inTransaction(database.pool, (tx) => writeKnownMovies(tx, [state]));
      };
      for (const movie of movies) await publish(movie, null);
      for (let at = 0; at < 150; at += 1) {
        const dice = random.int(100);
        const time = Date.UTC(2026, 0, 1) + at * 1000;
        if (dice < 55) {
          const command = { movieId: pick(movies), viewerId: pick(viewers), review: null };
          const score = random.int(7) === 0 ? null : 1 + random.int(10);
          model.rate(command.movieId, command.viewerId, score, time);
          await database.prisma.$transaction((tx) =>
            writeRatings(tx, [{ command: { ...command, score }, trace: null }], new Date(time)),
          );
        } else if (dice < 70) {
          const [movie, kept] = [pick(model.kept()), pick(model.kept())];
          if (movie === kept) continue;
          const before = model.joined().filter((one) => model.keptIdOf(one) === movie);
          model.join(movie, kept);
          for (const one of random.shuffled([movie, ...before])) await publish(one, kept);
        } else if (dice < 82) {
          if (model.joined().length === 0) continue;
          const movie = pick(model.joined());
          model.part(movie);
          await publish(movie, null);
        } else {
          const [move] = await database.prisma.voteMove.findMany({ take: 1, skip: random.int(2) });
          if (move) await moveStep(database.prisma, move, 1);
        }
        expect(await findDrift(database.prisma)).toEqual([]);
      }
      await moveAllVotes(database.prisma, undefined, 2);
      const { rows } = await database.pool.query<{ line: string }>(
        `SELECT movie_id || ' ' || viewer_id || ' ' || coalesce(score::text, '-') || ' for ' || coalesce(given_for, movie_id) AS line
         FROM rating`,
      );
      expect(rows.map(({ line }) => line).sort()).toEqual(model.list());
      expect(await findDrift(database.prisma)).toEqual([]);
      const { rows: left } = await database.pool.query(
        `SELECT movie_id FROM aggregated_rating WHERE joined_into IS NOT NULL AND count > 0`,
      );
      expect(left).toEqual([]);
    },
  );
});
