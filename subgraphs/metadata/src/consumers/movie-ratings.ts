import { aggregatedRatingChanged } from '@cinegraph/events/rating';
import { createEventReader } from '@cinegraph/events/reader';
import { aggregatedRatings, deadLettersOf } from '@cinegraph/events/topics';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { decodeEvents } from '@cinegraph/messaging/consumer/decode-events';

/** The aggregated rating of a movie in an event. */
interface MovieRating {
  readonly movie: string;
  readonly version: number;
  readonly sum: number;
  readonly count: number;
}

/**
 * Stores aggregated ratings: the JSON array $1, at most one for each movie. An older version than the stored
 * one is ignored, so that the order of arrival has no effect. Rows are written in the order of their ids, so
 * that two batches wait for each other and do not deadlock.
 */
const putMovieRatings = `
  INSERT INTO movie_rating AS present (movie_id, version, sum, count)
  SELECT movie, version, sum, count
  FROM jsonb_to_recordset($1::jsonb) AS r (movie text, version bigint, sum bigint, count integer)
  ORDER BY movie COLLATE "C"
  ON CONFLICT (movie_id) DO UPDATE
    SET version = excluded.version, sum = excluded.sum, count = excluded.count
    WHERE present.version < excluded.version`;

/**
 * Defines the consumer of rating's topic of aggregated ratings. It keeps a copy by which movies are filtered
 * and sorted; what clients see of a rating is always read from rating itself.
 */
export const createMovieRatings = ({
  secret,
}: {
  /** The secret of the graph. Without it (never in production) signatures are not checked. */
  readonly secret: string | undefined;
}): ConsumerDefinition<MovieRating> => {
  const read = createEventReader({ secret, owner: 'rating', definitions: [aggregatedRatingChanged] });
  return {
    name: 'movie-ratings',
    topics: [aggregatedRatings.name],
    deadLetterTopic: () => deadLettersOf(aggregatedRatings).name,
    decode: decodeEvents(read, ({ data: { movieId: movie, version, sum, count } }) => ({
      ...{ movie, version, sum, count },
    })),
    handle: async (tx, events) => {
      const newest = new Map<string, MovieRating>();
      for (const event of events) {
        if ((newest.get(event.movie)?.version ?? 0) < event.version) newest.set(event.movie, event);
      }
      await tx.$executeRawUnsafe(putMovieRatings, JSON.stringify([...newest.values()]));
      return undefined;
    },
  };
};
