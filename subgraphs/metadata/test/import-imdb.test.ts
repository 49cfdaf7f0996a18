import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startImports, tsv } from './support/imports.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

describe('the datasets of IMDb', () => {
  it('the import of IMDb writes movies only, with directors and an external rating', async () => {
    await imports.imdbFolder();
    const report = await imports.importImdb();
    expect(report).toMatchObject({ written: 4, refusedCount: 3 });
    expect(report?.notes).toContain(
      'startYear was not usable and is left out 1 times, first in title.basics.tsv.gz line 7',
    );
    expect(report?.refused.map(({ record }) => record)).toEqual([
      'title.basics.tsv.gz line 8',
      'title.ratings.tsv.gz line 4',
      'title.basics.tsv.gz line 6',
    ]);
    expect(await imports.movieOf('imdb:tt0088846')).toMatchObject({
      title: '"Brazil"',
      runtimeMinutes: 132,
      directors: [{ id: 'person:imdb:nm0000416', name: 'Terry Gilliam' }],
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
      externalRatings: [{ source: 'imdb', average: 7.8, votes: 214_000, scaleTop: 10 }],
    });
    expect(await imports.movieOf('imdb:tt0114709')).toMatchObject({
      directors: [{ name: 'John Lasseter' }, { name: 'Terry Gilliam' }],
      externalRatings: [],
    });
    expect(await imports.movieOf('imdb:tt9999999')).toMatchObject({
      releaseYear: null,
      genres: [],
      directors: [],
    });
    expect(await imports.movieOf('imdb:tt0000001')).toBeNull();
    const before = await imports.contents();
    expect(await imports.importImdb()).toMatchObject({ written: 0, unchanged: 4 });
    expect(await imports.contents()).toEqual(before);
  });

  it('a film that is longer than any other is imported without its runtime', async () => {
    await imports.imdbFolder();
    await imports.put(
      'title.basics.tsv.gz',
      tsv(
        'tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres',
        'tt9910001\tmovie\tA film of weeks\t2012\t51420\tDocumentary',
        'tt9910002\tmovie\tA film of an odd year\t1066\t90\tDrama',
        'tt9910003\tmovie\tA film of words\t2012\tlong\tDrama',
      ),
    );
    expect(await imports.importImdb()).toMatchObject({
      ...{ written: 3, refusedCount: 0 },
      notes: expect.arrayContaining([
        'runtimeMinutes was not usable and is left out 2 times, first in title.basics.tsv.gz line 2',
        'releaseYear was not usable and is left out 1 times, first in title.basics.tsv.gz line 3',
      ]),
    });
    expect(await imports.movieOf('imdb:tt9910001')).toMatchObject({
      releaseYear: 2012,
      runtimeMinutes: null,
    });
    expect(await imports.movieOf('imdb:tt9910002')).toMatchObject({ releaseYear: null, runtimeMinutes: 90 });
  });

  it('the import of IMDb refuses lines that cannot be stored and leaves out people without a name', async () => {
    await imports.imdbFolder();
    await imports.put(
      'title.basics.tsv.gz',
      tsv(
        'tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres',
        'tt0088846\tmovie\tBrazil\t1985\t132\tDrama',
        'tt0088847\tmovie\tBre\u0000akfast\t1985\t97\tDrama',
      ),
    );
    await imports.put(
      'title.crew.tsv.gz',
      tsv('tconst\tdirectors\twriters', 'tt0088846\tnm0000416,nm0000417,nm0000418\t\\N'),
    );
    await imports.put(
      'name.basics.tsv.gz',
      tsv('nconst\tprimaryName', 'nm0000416\tTerry Gilliam', 'nm0000417\t\\N', 'nm0000418\t'),
    );
    const report = await imports.importImdb();
    expect(report).toMatchObject({ written: 1, refusedCount: 1 });
    expect(report?.refused[0]).toEqual({
      record: 'title.basics.tsv.gz line 3',
      reason: 'it holds a character that cannot be stored',
    });
    expect(await imports.movieOf('imdb:tt0088846')).toMatchObject({ directors: [{ name: 'Terry Gilliam' }] });
  });

  it('the import of IMDb fills the movie of another source that has the same IMDb id', async () => {
    await imports.movieLens();
    await imports.importMovieLens();
    await imports.imdbFolder();
    await imports.importImdb();
    expect(await imports.movieOf('imdb:tt0114709')).toBeNull();
    expect(await imports.movieOf('movielens:1')).toMatchObject({
      title: 'Toy Story',
      runtimeMinutes: 81,
      directors: [{ name: 'John Lasseter' }, { name: 'Terry Gilliam' }],
    });
  });

  it('the datasets of IMDb are refused as a whole if a file is missing or truncated', async () => {
    await imports.imdbFolder();
    await unlink(join(imports.folder, 'title.crew.tsv.gz'));
    await expect(imports.importImdb()).rejects.toThrow(
      /title.crew.tsv.gz cannot be read: there is no such file/,
    );
    await imports.put('title.crew.tsv.gz', tsv('tconst\tdirectors\twriters').subarray(0, 25));
    await expect(imports.importImdb()).rejects.toThrow(/title.crew.tsv.gz is damaged or cut off/);
    expect(await imports.contents()).toEqual([[], [], [], [], [], [], []]);
  });
});
