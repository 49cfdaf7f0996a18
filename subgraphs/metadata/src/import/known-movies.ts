import type { Importer } from '@cinegraph/subgraph/import/run-import';
import { migrations } from '../migrations.js';
import { handOverMovies } from './handover.js';
import type { SourceMovie } from './source-movie.js';
import { openMovieTables } from './write.js';

/** metadata's half of `import -- ratings`: the file holds no movies, so it only tells rating which there are. */
export const knownMovies: Importer<SourceMovie> = {
  subgraph: 'metadata',
  source: 'ratings',
  items: 'movies',
  migrations,
  options: ['scale', 'id-prefix'],
  read: async () => ({ records: [] }),
  open: openMovieTables('ratings'),
  handOver: (pool) => handOverMovies(pool),
};
