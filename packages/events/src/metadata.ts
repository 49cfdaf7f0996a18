import { z } from 'zod';
import { defineEvent } from './event.js';
import { movies } from './topics.js';

const state = z.object({
  movieId: z.string().min(1).max(200),
  version: z
    .int()
    .min(1)
    .describe('Of the movie, higher with each change: a lower one than seen is to be ignored.'),
});

const described = state.extend({
  title: z.string().min(1),
  releaseYear: z.int().nullable(),
});

/** A movie was added. */
export const movieCreated = defineEvent({
  type: 'MovieCreated',
  topic: movies,
  description: 'A movie was added.',
  version: 1,
  schemas: { 1: described },
});

/** What is known of a movie changed. */
export const movieChanged = defineEvent({
  type: 'MovieChanged',
  topic: movies,
  description:
    'What is known of a movie changed; it says the new state. Who has not seen the movie before takes it as new.',
  version: 1,
  schemas: { 1: described },
});

/** A movie was deleted. Its id is not given to another. */
export const movieDeleted = defineEvent({
  type: 'MovieDeleted',
  topic: movies,
  description: 'A movie was deleted. Its id is never given to another.',
  version: 1,
  schemas: { 1: state },
});
