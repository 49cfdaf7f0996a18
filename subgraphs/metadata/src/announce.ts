import { runAnnouncements } from '@cinegraph/subgraph/jobs/run-backfills';
import { movieAnnouncement } from './announcement.js';

await runAnnouncements([movieAnnouncement]);
