import { runAnnouncements } from '@cinegraph/kit/announcement';
import { movieAnnouncement } from './announcement.js';

await runAnnouncements([movieAnnouncement]);
