import { movies } from '@cinegraph/events/topics';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { migrations } from './migrations.js';
import { tellMovies } from './movie-events.js';

/** Tells of every movie: as it is now, or that it was deleted. */
export const movieBackfill: Backfill = {
  subgraph: 'metadata',
  migrations,
  topic: movies.name,
  items: 'movies',
  keys: 'SELECT id AS key FROM movie WHERE id > $1 ORDER BY id LIMIT $2',
  tell: tellMovies('SELECT id, false AS added FROM unnest($1::text[]) AS wanted (id)'),
};
