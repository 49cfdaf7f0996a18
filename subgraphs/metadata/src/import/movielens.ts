import { runImport } from '@cinegraph/kit/import';
import { createMovieLens } from './movielens-movies.js';

await runImport(createMovieLens());
