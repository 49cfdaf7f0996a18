import { runImport } from '@cinegraph/kit/import';
import { movieLensRatings } from './movielens-ratings.js';

await runImport(movieLensRatings);
