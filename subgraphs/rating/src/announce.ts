import { runAnnouncements } from '@cinegraph/subgraph/jobs/run-backfills';
import { aggregateAnnouncement } from './announcement.js';

await runAnnouncements([aggregateAnnouncement]);
