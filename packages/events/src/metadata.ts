import { z } from 'zod';
import { defineEvent } from './event.js';
import { movies } from './topics.js';

const state = z.object({
  movieId: z.string().min(1).max(200),
  version: z
    .int()
    .min(1)
    .describe(
      'The version of the movie, which increases with each change. Ignore an event with a lower version than the last one.',
    ),
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

/** The facts of a movie changed. */
export const movieChanged = defineEvent({
  type: 'MovieChanged',
  topic: movies,
  description:
    'The facts of a movie changed. The event has the new state; a consumer that does not know the movie adds it.',
  version: 1,
  schemas: { 1: described },
});

/** A movie was deleted. Its id is never used again. */
export const movieDeleted = defineEvent({
  type: 'MovieDeleted',
  topic: movies,
  description: 'A movie was deleted. Its id is never used again.',
  version: 1,
  schemas: { 1: state },
});

/** A movie was joined into another one, because the two are one film. */
export const movieJoined = defineEvent({
  type: 'MovieJoined',
  topic: movies,
  description:
    'A movie was joined into another one, because the two are one film. Its id stands for that movie from now on, until a MovieChanged says that the two were parted.',
  version: 1,
  schemas: {
    1: state.extend({
      into: z.string().min(1).max(200).describe('The movie that is kept, which is not joined itself.'),
    }),
  },
});
