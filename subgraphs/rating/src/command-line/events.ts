import { systemClock } from '@cinegraph/service/clock';
import { runEvents } from '@cinegraph/subgraph/jobs/events';
import { aggregateBackfill } from '../backfill.js';
import { createIngest, ingestVariables, readIngestSettings } from '../consumers/ratings-topic.js';
import { createDeletedUsers } from '../consumers/deleted-users.js';
import { createKnownMovies } from '../consumers/known-movies.js';
import { migrations } from '../migrations.js';

await runEvents({
  subgraph: 'rating',
  migrations,
  consumers: ({ variables, secret }) => [
    createIngest({ clock: systemClock }, readIngestSettings(variables(ingestVariables), secret)),
    createKnownMovies({ secret }),
    createDeletedUsers({ clock: systemClock, secret }),
  ],
  backfills: [aggregateBackfill],
});
