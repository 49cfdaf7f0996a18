import { runImport } from '@cinegraph/kit/import';
import { knownMovies } from './known-movies.js';

await runImport(knownMovies);
