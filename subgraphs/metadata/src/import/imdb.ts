import { runImport } from '@cinegraph/subgraph/import/run-import';
import { createImdb } from './imdb-titles.js';

await runImport(createImdb());
