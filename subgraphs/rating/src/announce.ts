import { runAnnouncements } from '@cinegraph/kit/announcement';
import { aggregateAnnouncement } from './announcement.js';

await runAnnouncements([aggregateAnnouncement]);
