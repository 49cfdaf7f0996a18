import type { TopicDefinition } from '@cinegraph/messaging/envelope';

/**
 * Where ratings of others come in: two dialects without key and schema, and our own envelope
 * (docs/events.md).
 */
export const incomingRatings: TopicDefinition = { name: 'ratings', retention: 'time' };

/** Who rated what: RatingSubmitted, RatingRetracted; keyed by movie. */
export const ratings: TopicDefinition = { name: 'rating.ratings.v1', retention: 'time' };

/** The exact aggregate of each movie as it changes: AggregatedRatingChanged; keyed by movie. */
export const aggregatedRatings: TopicDefinition = { name: 'rating.aggregates.v1', retention: 'compact' };

/** What becomes of movies: MovieCreated, MovieChanged, MovieDeleted; keyed by movie. */
export const movies: TopicDefinition = { name: 'metadata.movies.v1', retention: 'compact' };

/**
 * Where the dead letters of a topic go; it takes larger messages than its source, since headers come with
 * them.
 */
export const deadLettersOf = ({ name, maxMessageBytes = 1_048_576 }: TopicDefinition): TopicDefinition => ({
  name: `${name}.dlq`,
  retention: 'time',
  maxMessageBytes: maxMessageBytes * 2,
});
