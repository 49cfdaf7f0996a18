import { runImport } from '@cinegraph/subgraph/import/run-import';
import { handoverOnly } from './handover-only.js';

await runImport(handoverOnly);
