import { runImport } from '@cinegraph/kit/import';
import { eventFile } from './event-file.js';

await runImport(eventFile);
