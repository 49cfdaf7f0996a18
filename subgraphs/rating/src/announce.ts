import { runBackfills } from '@cinegraph/subgraph/jobs/run-backfills';
import { aggregateBackfill } from './backfill.js';

await runBackfills([aggregateBackfill]);
