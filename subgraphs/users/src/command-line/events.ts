import { runEvents } from '@cinegraph/subgraph/jobs/events';
import { deletionBackfill } from '../backfill.js';
import { migrations } from '../migrations.js';

await runEvents({
  subgraph: 'users',
  migrations,
  consumers: () => [],
  backfills: [deletionBackfill],
});
