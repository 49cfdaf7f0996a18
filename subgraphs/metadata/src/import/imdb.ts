import { runImport } from '@cinegraph/kit/import';
import { createImdb } from './imdb-titles.js';

await runImport(createImdb());
