import { runEvents } from '@cinegraph/subgraph/jobs/events';
import { movieBackfill } from '../backfill.js';
import { migrations } from '../migrations.js';

await runEvents({ subgraph: 'metadata', migrations, consumers: () => [], backfills: [movieBackfill] });
