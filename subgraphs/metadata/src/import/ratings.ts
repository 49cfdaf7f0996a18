import { runImport } from '@cinegraph/subgraph/import/run-import';
import { knownMovies } from './known-movies.js';

await runImport(knownMovies);
