import { runImport } from '@cinegraph/subgraph/import/run-import';
import { catalogue } from './vega.js';

await runImport(catalogue);
