import { importInto } from '@cinegraph/subgraph/import/run-import';
import { describe, expect, it } from '@jest/globals';
import { catalogueSample } from '../src/import/sample.js';
import { put, useImportWorld } from './import-world.js';

const importWorld = useImportWorld();

describe('the sample ratings of the catalogue', () => {
  it('a film that metadata knows from another source is rated under the id of that source', async () => {
    const { world, folder } = importWorld();
    const rows = ['The Godfather', 'Nobody'].map((Title) => ({
      Title,
      'IMDB Rating': 9,
      'IMDB Votes': 400,
    }));
    const file = await put(importWorld(), 'catalogue.json', JSON.stringify(rows));
    await put(importWorld(), 'handover.jsonl', '{"alias":"vega:1","movie":"movielens:858"}\n');
    const run = () => importInto(catalogueSample, world.subgraph.pool, { args: [file], folder });
    expect(await run()).toMatchObject({ written: 10 });
    const { rows: counts } = await world.subgraph.pool.query(
      'SELECT movie_id, count::int FROM aggregated_rating ORDER BY movie_id',
    );
    expect(counts).toEqual([
      { movie_id: 'movielens:858', count: 5 },
      { movie_id: 'vega:2', count: 5 },
    ]);
    expect(await run()).toMatchObject({ written: 0, unchanged: 10 });
  });
});
