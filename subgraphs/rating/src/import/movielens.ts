import { runImport } from '@cinegraph/subgraph/import/run-import';
import { movieLensRatings } from './movielens-ratings.js';

await runImport(movieLensRatings);
