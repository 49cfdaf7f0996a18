import { parseArgs } from 'node:util';
import { insertBundles } from '@cinegraph/messaging/outbox/append';
import { printable, say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import type { MovieState } from '../rules.js';
import {
  aggregateEvents,
  asShown,
  createAggregates,
  lockAggregates,
  scoreCounts,
  scoreColumns,
} from '../sql/merge.js';

/**
 * `rebuild`: makes every aggregate equal to its ratings and to the state of its movie again, and lists
 * those that had drifted.
 */
export const rebuild: Command = {
  what: 'the rebuild',
  usage: ['rebuild [--check]'],
  run: async (args, { pool }) => {
    const { values } = parseArgs({
      args: [...args],
      options: { check: { type: 'boolean', default: false } },
    });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    try {
      const drift = await (values.check ? findDrift(prisma) : rebuildAggregates(prisma));
      for (const { movieId, stored, recomputed } of drift) {
        say(`${printable(movieId)}: stored ${describe(stored)}, recomputed ${describe(recomputed)}`);
      }
      say(
        `${drift.length} aggregated ratings ${values.check ? 'have drifted' : 'had drifted and are repaired'}.`,
      );
      return values.check && drift.length > 0 ? 1 : 0;
    } finally {
      await prisma.$disconnect();
    }
  },
};

/** What is compared of an aggregate, beside its histogram. A movie without an aggregate is `unknown`. */
export interface Total {
  readonly sum: number;
  readonly count: number;
  readonly movie: MovieState | 'joined';
}

/** A movie whose stored aggregate differs from what its ratings and its known movie give. */
export interface Drift {
  readonly movieId: string;
  readonly stored: Total;
  readonly recomputed: Total;
}

const describe = ({ sum, count, movie }: Total) => `${sum} in ${count} votes of a movie that is ${movie}`;

/**
 * Recomputes every aggregate from the ratings and returns those that differ. It is one statement and so one
 * snapshot: concurrent writes are not reported as drift, and nobody who rates has to wait. It reads every
 * rating, so `prisma` must not have a statement timeout.
 */
export const findDrift = async (prisma: PrismaClient): Promise<readonly Drift[]> => {
  const rows = await prisma.$queryRawUnsafe<readonly DriftRow[]>(`
        SELECT movie_id AS "movieId",
          coalesce(stored.sum, 0)::float8 AS "storedSum", coalesce(stored.count, 0)::float8 AS "storedCount",
          coalesce(fresh.sum, 0)::float8 AS "freshSum", coalesce(fresh.count, 0)::float8 AS "freshCount",
          coalesce(stored.movie_state, 'unknown') AS "storedMovie", ${stateOf('known.deleted')} AS "freshMovie"
        FROM aggregated_rating AS stored FULL JOIN (
          SELECT movie_id, ${recomputed} FROM rating GROUP BY movie_id
        ) AS fresh USING (movie_id) FULL JOIN (SELECT id AS movie_id, deleted FROM known_movie) AS known USING (movie_id)
        WHERE ${differs} OR coalesce(stored.movie_state, 'unknown') <> ${stateOf('known.deleted')}
        ORDER BY movie_id COLLATE "C"`);
  return rows.map((row) => ({
    movieId: row.movieId,
    stored: { sum: row.storedSum, count: row.storedCount, movie: row.storedMovie },
    recomputed: { sum: row.freshSum, count: row.freshCount, movie: row.freshMovie },
  }));
};

/**
 * Makes every aggregate equal to its ratings again, publishes the corrected aggregates, and returns what had
 * drifted. Only drifted movies are locked, 500 in a transaction; ratings are accepted meanwhile.
 */
export const rebuildAggregates = async (prisma: PrismaClient): Promise<readonly Drift[]> => {
  const drift = await findDrift(prisma);
  for (let at = 0; at < drift.length; at += 500) {
    const movieIds = drift.slice(at, at + 500).map(({ movieId }) => movieId);
    await prisma.$transaction(
      async (tx) => {
        await tx.$executeRawUnsafe(createAggregates, movieIds);
        await tx.$queryRawUnsafe(lockAggregates, movieIds);
        await tx.$executeRawUnsafe(
          `WITH moved AS (
             UPDATE aggregated_rating AS stored SET
               sum = fresh.sum, count = fresh.count, ${scoreColumns.map((s) => `${s} = fresh.${s}`).join(', ')},
               movie_state = ${stateOf('fresh.deleted')}, version = stored.version + 1
             FROM (
               SELECT requested.movie_id, ${recomputed}, known.deleted
               FROM unnest($1::text[]) AS requested (movie_id) LEFT JOIN rating USING (movie_id)
                 LEFT JOIN known_movie AS known ON known.id = requested.movie_id
               GROUP BY requested.movie_id, known.deleted
             ) AS fresh
             WHERE stored.movie_id = fresh.movie_id
             RETURNING stored.*, NULL::text AS trace
           )
           ${insertBundles(aggregateEvents(asShown('moved')))}`,
          movieIds,
        );
      },
      { timeout: 60_000 },
    );
  }
  return drift;
};

interface DriftRow {
  readonly movieId: string;
  readonly storedSum: number;
  readonly storedCount: number;
  readonly freshSum: number;
  readonly freshCount: number;
  readonly storedMovie: Total['movie'];
  readonly freshMovie: Total['movie'];
}

/**
 * Returns the state of a movie, from its aggregate `stored`, which alone says whether its votes go to another
 * movie, and from `deleted` of its known movie, which is null if there is none.
 */
const stateOf = (deleted: string): string => `CASE WHEN stored.joined_into IS NOT NULL THEN 'joined'
  WHEN ${deleted} THEN 'deleted' WHEN ${deleted} IS NULL THEN 'unknown' ELSE 'known' END`;

const recomputed = `coalesce(sum(score), 0) AS sum, count(score) AS count, ${scoreCounts('score')}`;

const differs = ['sum', 'count', ...scoreColumns]
  .map((column) => `coalesce(stored.${column}, 0) <> coalesce(fresh.${column}, 0)`)
  .join(' OR ');
