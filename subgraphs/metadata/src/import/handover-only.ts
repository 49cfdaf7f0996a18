import type { Importer } from '@cinegraph/subgraph/import/importer';
import { migrations } from '../migrations.js';
import { handOverMovies } from './handover.js';
import type { SourceMovie } from './source-movie.js';
import { openMovieTables } from './write.js';

/** Runs first in `import -- ratings`: imports nothing and hands the known movies over to rating. */
export const handoverOnly: Importer<SourceMovie> = {
  subgraph: 'metadata',
  source: 'ratings',
  items: 'movies',
  migrations,
  options: ['scale', 'id-prefix'],
  read: async () => ({ records: [] }),
  open: openMovieTables('ratings'),
  handOver: (pool) => handOverMovies(pool),
};
