import { runBackfills } from '@cinegraph/subgraph/jobs/run-backfills';
import { movieBackfill } from './backfill.js';

await runBackfills([movieBackfill]);
