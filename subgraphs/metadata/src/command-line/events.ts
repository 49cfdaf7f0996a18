import { runEvents } from '@cinegraph/subgraph/jobs/events';
import { movieBackfill } from '../backfill.js';
import { createMovieRatings } from '../consumers/movie-ratings.js';
import { migrations } from '../migrations.js';

await runEvents({
  subgraph: 'metadata',
  migrations,
  consumers: ({ secret }) => [createMovieRatings({ secret })],
  backfills: [movieBackfill],
});
