import { z } from 'zod';
import { defineEvent } from './event.js';
import { aggregatedRatings, ratings } from './topics.js';

const movieId = z.string().min(1).max(200).describe('The rated movie.');
const viewerId = z
  .string()
  .min(1)
  .max(200)
  .describe('The viewer who rates; `<source>:<user>` if the rating is from an external source.');
const version = z
  .int()
  .min(1)
  .describe(
    'The version of the rating, which increases by one with each change. Of two events of a viewer and movie, the higher version is the later one.',
  );

/** A viewer rated a movie, or changed the rating. */
export const ratingSubmitted = defineEvent({
  type: 'RatingSubmitted',
  topic: ratings,
  description: 'A viewer rated a movie, or changed the rating.',
  version: 1,
  schemas: {
    1: z.object({
      movieId,
      viewerId,
      score: z.int().min(1).max(10).describe('A whole number from 1 to 10.'),
      review: z.string().max(10_000).nullable().describe('The text of the viewer.'),
      version,
    }),
  },
});

/** A viewer retracted a rating. */
export const ratingRetracted = defineEvent({
  type: 'RatingRetracted',
  topic: ratings,
  description: 'A viewer retracted a rating.',
  version: 1,
  schemas: { 1: z.object({ movieId, viewerId, version }) },
});

/** The aggregate of a movie changed. */
export const aggregatedRatingChanged = defineEvent({
  type: 'AggregatedRatingChanged',
  topic: aggregatedRatings,
  description: 'The aggregate of a movie changed. The event has the complete new state.',
  version: 1,
  schemas: {
    1: z.object({
      movieId,
      sum: z.int().min(0).describe('The exact sum of all scores.'),
      count: z
        .int()
        .min(0)
        .describe('The number of ratings. The average is sum / count; there is none if count is 0.'),
      histogram: z
        .array(z.int().min(0))
        .length(10)
        .describe('The number of ratings with each score from 1 to 10.'),
      version: z
        .int()
        .min(1)
        .describe(
          'The version of the aggregate, which increases with each change. Ignore an event with a lower version than the last one.',
        ),
    }),
  },
});
