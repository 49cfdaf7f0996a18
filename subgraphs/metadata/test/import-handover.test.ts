import { importInto } from '@cinegraph/subgraph/import/run-import';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { externalIdPage, moviePage } from '../src/import/handover.js';
import { handoverOnly } from '../src/import/handover-only.js';
import { startImports, toyStory } from './support/imports.js';
import { asEditor } from './support/mutations.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

describe('the hand-over to rating', () => {
  it('each page of the hand-over is an index scan', async () => {
    await imports.movieLens();
    await imports.importMovieLens();
    for (const [statement, after] of [
      [moviePage, ['']],
      [externalIdPage, ['', '']],
    ] as const) {
      const client = await imports.subgraph.pool.connect();
      try {
        // The planner would scan a table of so few rows. Without an index in this order, the plan has a sort.
        await client.query('SET enable_seqscan = off');
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement}`, [10, ...after]);
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        expect(plan).toMatch(/Index Scan using (movie|external_id)_pkey/);
        expect(plan).not.toMatch(/Sort|Filter/);
      } finally {
        client.release(true);
      }
    }
  });

  it('the hand-over has every movie with its version, deleted or not, and its aliases', async () => {
    await imports.imdbFolder();
    await imports.importImdb();
    await imports.subgraph.ask(
      'mutation { deleteMovie(id: "imdb:tt9999999") { deletedMovieId } }',
      {},
      asEditor,
    );
    await imports.movieLensFolder([toyStory, '77,Nine (2009),Drama'], ['77,0875034,']);
    await imports.importMovieLens();
    await importInto(handoverOnly, imports.subgraph.pool, { folder: imports.folder });
    expect(await imports.handover()).toEqual([
      { movie: 'imdb:tt0088846', version: 1, deleted: false },
      { movie: 'imdb:tt0114709', version: 2, deleted: false },
      { movie: 'imdb:tt9999997', version: 1, deleted: false },
      { movie: 'imdb:tt9999999', version: 2, deleted: true },
      { movie: 'movielens:77', version: 1, deleted: false },
      { alias: 'imdb:tt0875034', movie: 'movielens:77' },
      { alias: 'movielens:1', movie: 'imdb:tt0114709' },
    ]);
  });
});
