import { movies } from '@cinegraph/events/topics';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { migrations } from './migrations.js';
import { appendMovieStates } from './commands/movie-events.js';

/** Publishes the present state of every movie, deleted ones included. */
export const movieBackfill: Backfill = {
  subgraph: 'metadata',
  migrations,
  topic: movies.name,
  items: 'movies',
  keys: 'SELECT id AS key FROM movie WHERE id > $1 ORDER BY id LIMIT $2',
  append: appendMovieStates('SELECT id, false AS added FROM unnest($1::text[]) AS requested (id)'),
};
