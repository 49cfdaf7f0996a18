import { z } from 'zod';
import { defineEvent } from './event.js';
import { aggregatedRatings, ratings } from './topics.js';

const movieId = z.string().min(1).max(200).describe('The movie that is rated.');
const viewerId = z
  .string()
  .min(1)
  .max(200)
  .describe('Who rates, `<source>:<user>` where an outside source says so.');
const version = z
  .int()
  .min(1)
  .describe(
    'Of this rating, +1 with each change: of two events of one viewer and movie the higher is the later.',
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
      review: z.string().max(10_000).nullable().describe('What the viewer wrote with it.'),
      version,
    }),
  },
});

/** A viewer took a rating back. */
export const ratingRetracted = defineEvent({
  type: 'RatingRetracted',
  topic: ratings,
  description: 'A viewer took a rating back.',
  version: 1,
  schemas: { 1: z.object({ movieId, viewerId, version }) },
});

/** The aggregate of a movie changed. */
export const aggregatedRatingChanged = defineEvent({
  type: 'AggregatedRatingChanged',
  topic: aggregatedRatings,
  description: 'The aggregate of a movie changed; it says the whole new state.',
  version: 1,
  schemas: {
    1: z.object({
      movieId,
      sum: z.int().min(0).describe('Of all scores, exact.'),
      count: z.int().min(0).describe('How many ratings there are; the average is sum / count, none for 0.'),
      histogram: z.array(z.int().min(0)).length(10).describe('How many ratings have each score, 1 to 10.'),
      version: z
        .int()
        .min(1)
        .describe(
          'Of the movie’s aggregate, higher with each change: a lower one than seen is to be ignored.',
        ),
    }),
  },
});
