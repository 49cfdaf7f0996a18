import { formatReport } from '@cinegraph/subgraph/import/report';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createImdb } from '../src/import/imdb-titles.js';
import { startImports, tsv } from './support/imports.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

describe('a movie with a value that exceeds a limit', () => {
  it('the import keeps the movie, leaves the value out and counts it in the report', async () => {
    await imports.imdbFolder();
    const many = Array.from({ length: 21 }, (_, index) => `Genre ${index}`).join(',');
    await imports.put(
      'title.basics.tsv.gz',
      tsv(
        'tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres',
        'tt9910001\tmovie\tLogistics\t2012\t51420\tDocumentary',
        'tt9910002\tmovie\tAmbiance\t2020\t14400\tDocumentary',
        'tt9910003\tmovie\tToo early\t1700\t90\tDrama',
        `tt9910004\tmovie\tMany genres\t2000\t90\t${many}`,
        `tt9910005\tmovie\tA long genre\t2000\t90\tDrama,${'x'.repeat(51)},---`,
        'tt9910006\tmovie\tMany directors\t2000\t90\tDrama',
        `tt9910007\tmovie\t${'x'.repeat(301)}\t2000\t90\tDrama`,
        'tt9910008\tmovie\tA runtime of letters\t2000\tlong\tDrama',
        'tt9910009\tmovie\tLonger than any\t2000\t9999999999\tDrama',
      ),
    );
    const ids = Array.from({ length: 22 }, (_, index) => `nm${String(index + 1).padStart(7, '0')}`);
    await imports.put(
      'title.crew.tsv.gz',
      tsv('tconst\tdirectors\twriters', `tt9910006\t${ids.join(',')}\t\\N`),
    );
    await imports.put(
      'name.basics.tsv.gz',
      tsv(
        'nconst\tprimaryName',
        ...ids.map((id, index) => `${id}\t${index === 0 ? 'x'.repeat(201) : `Director ${index}`}`),
      ),
    );
    const report = await imports.importImdb();
    // A movie needs a title, and a runtime of letters shows that the line is damaged.
    expect(report).toMatchObject({ written: 7, refusedCount: 2 });
    expect(report?.refused.map(({ record }) => record)).toEqual([
      'title.basics.tsv.gz line 8',
      'title.basics.tsv.gz line 9',
    ]);
    expect(report?.notes.filter((note) => note.includes('limit'))).toEqual([
      'movies of which a value of runtimeMinutes was left out because it exceeds a limit: 3',
      'movies of which a value of releaseYear was left out because it exceeds a limit: 1',
      'movies of which a value of genres was left out because it exceeds a limit: 2',
      'movies of which a value of directors was left out because it exceeds a limit: 1',
    ]);
    expect(report && formatReport(createImdb(), report)).toContain('runtimeMinutes was left out');
    expect(await imports.movieOf('imdb:tt9910001')).toMatchObject({
      title: 'Logistics',
      releaseYear: 2012,
      runtimeMinutes: null,
    });
    expect(await imports.movieOf('imdb:tt9910009')).toMatchObject({ runtimeMinutes: null });
    expect(await imports.movieOf('imdb:tt9910003')).toMatchObject({ releaseYear: null, runtimeMinutes: 90 });
    const genres = (await imports.movieOf('imdb:tt9910004'))?.['genres'] as unknown[];
    expect(genres).toHaveLength(20);
    expect(await imports.movieOf('imdb:tt9910005')).toMatchObject({ genres: [{ id: 'drama' }] });
    const directors = (await imports.movieOf('imdb:tt9910006'))?.['directors'] as { name: string }[];
    expect([directors.length, directors[0]?.name]).toEqual([20, 'Director 1']);
    const before = await imports.contents();
    expect(await imports.importImdb()).toMatchObject({ written: 0, unchanged: 7 });
    expect(await imports.contents()).toEqual(before);
  });
});
