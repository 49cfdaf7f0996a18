import type { TopicDefinition } from '@cinegraph/messaging/envelope';

/** Ratings from outside, in two external formats without a key and in our own envelope (docs/events.md). */
export const incomingRatings: TopicDefinition = { name: 'ratings', retention: 'time' };

/** The ratings of viewers: RatingSubmitted and RatingRetracted, keyed by movie. */
export const ratings: TopicDefinition = { name: 'rating.ratings.v1', retention: 'time' };

/** The exact aggregate of each movie: AggregatedRatingChanged, keyed by movie. */
export const aggregatedRatings: TopicDefinition = { name: 'rating.aggregates.v1', retention: 'compact' };

/** The movies: MovieCreated, MovieChanged, MovieDeleted and MovieJoined, keyed by movie. */
export const movies: TopicDefinition = { name: 'metadata.movies.v1', retention: 'compact' };

/** The accounts: UserDeleted, keyed by user. */
export const accounts: TopicDefinition = { name: 'users.accounts.v1', retention: 'compact' };

/** Returns the topic of a topic's dead letters. It allows larger messages, because headers are added. */
export const deadLettersOf = ({ name, maxMessageBytes = 1_048_576 }: TopicDefinition): TopicDefinition => ({
  name: `${name}.dlq`,
  retention: 'time',
  maxMessageBytes: maxMessageBytes * 2,
});
