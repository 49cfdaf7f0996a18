import { runImport } from '@cinegraph/subgraph/import/run-import';
import { catalogueSample } from './sample.js';

await runImport(catalogueSample);
