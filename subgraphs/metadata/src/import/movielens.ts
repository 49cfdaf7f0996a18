import { runImport } from '@cinegraph/subgraph/import/run-import';
import { createMovieLens } from './movielens-movies.js';

await runImport(createMovieLens());
