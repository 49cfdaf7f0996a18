import { runImport } from '@cinegraph/subgraph/import/run-import';
import { eventFile } from './event-file.js';

await runImport(eventFile);
