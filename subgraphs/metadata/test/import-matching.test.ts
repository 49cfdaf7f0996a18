import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { startImports } from './support/imports.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

const row = (Title: string, year: number, Director: string | null = null) => ({
  Title,
  'Release Date': `Jun 12 ${year}`,
  Director,
});

/** Rows 1 to 5 of a catalogue: two films of MovieLens, a remake, and a film that stands twice. */
const rows = [
  row('The Godfather', 1972, 'Francis Ford Coppola'),
  row('Amelie', 2001, 'Jean-Pierre Jeunet'),
  row('Psycho', 1998, 'Gus Van Sant'),
  row('Solaris', 2002),
  row('Solaris', 2002),
];

const importCatalogue = async () => {
  await imports.put('catalogue.json', JSON.stringify(rows));
  const { pool } = imports.subgraph;
  const { folder } = imports;
  return importInto(catalogue, pool, { args: [join(folder, 'catalogue.json')], folder });
};

const importMovieLens = async () => {
  await imports.movieLensFolder(
    [
      '858,"Godfather, The (1972)",Crime|Drama',
      `4973,"Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)",Comedy`,
      '1219,Psycho (1960),Horror',
      '6003,Solaris (2002),Drama',
    ],
    ['858,0068646,238', '4973,0211915,194', '1219,0054215,539', '6003,0307479,2103'],
  );
  return imports.importMovieLens();
};

/** Returns the films as the sets of their ids in all sources, which no order of the imports changes. */
const films = async () => {
  const { rows: found } = await imports.subgraph.pool.query<{ names: string }>(`
    SELECT string_agg(DISTINCT name, ' ' ORDER BY name) AS names
    FROM (SELECT id, id AS name FROM movie
      UNION SELECT movie_id, source || ':' || value FROM external_id) AS named
    GROUP BY id ORDER BY 1`);
  return found.map(({ names }) => names);
};

const expected = [
  'imdb:tt0054215 movielens:1219 tmdb:539',
  'imdb:tt0068646 movielens:858 tmdb:238 vega:1',
  'imdb:tt0211915 movielens:4973 tmdb:194 vega:2',
  'imdb:tt0307479 movielens:6003 tmdb:2103',
  'vega:3',
  'vega:4',
  'vega:5',
];

describe('a film of two sources', () => {
  it('the catalogue and then MovieLens give one film for each, with the ids of both', async () => {
    await importCatalogue();
    const report = await importMovieLens();
    expect(report?.notes).toEqual([
      '2 matched with films of other sources, 2 new, 1 ambiguous',
      'ambiguous, so left apart: line 5, Solaris (2002), may be vega:4 or vega:5',
      `the ambiguous are listed in ${join(imports.folder, 'movielens-metadata-ambiguous.jsonl')}`,
      '2 pairs of movies may be one film each: npm run movies -- twice lists them',
    ]);
    expect(await films()).toEqual(expected);
    const listed = await readFile(join(imports.folder, 'movielens-metadata-ambiguous.jsonl'), 'utf8');
    expect(
      listed
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      {
        record: 'line 5',
        id: 'movielens:6003',
        title: 'Solaris',
        year: 2002,
        candidates: ['vega:4', 'vega:5'],
      },
    ]);
    // Facts that the catalogue does not have come from MovieLens, and the others stay.
    expect(await imports.movieOf('vega:1')).toMatchObject({
      title: 'The Godfather',
      directors: [{ name: 'Francis Ford Coppola' }],
      genres: [{ id: 'crime' }, { id: 'drama' }],
    });
    expect(await imports.handover()).toEqual(
      expect.arrayContaining([{ alias: 'movielens:858', movie: 'vega:1' }]),
    );
  });

  it('MovieLens and then the catalogue give the same films', async () => {
    await importMovieLens();
    const report = await importCatalogue();
    expect(report?.notes[0]).toBe('2 matched with films of other sources, 3 new, 2 ambiguous');
    expect(await films()).toEqual(expected);
    expect(await imports.handover()).toEqual(
      expect.arrayContaining([{ alias: 'vega:1', movie: 'movielens:858' }]),
    );
  });

  it('the same files again, in any order, write nothing', async () => {
    await importCatalogue();
    await importMovieLens();
    const before = await imports.contents();
    const again = await importMovieLens();
    expect(again).toMatchObject({ written: 0, unchanged: 4 });
    expect(again?.notes[0]).toBe('2 matched with films of other sources, 0 new, 1 ambiguous');
    expect(await importCatalogue()).toMatchObject({ written: 0, unchanged: 5 });
    expect(await imports.contents()).toEqual(before);
  });

  it('a film of IMDb matches one of the catalogue in the year before, if the director is the same', async () => {
    rows.push(row('Brazil', 1984, 'Terry Gilliam'));
    try {
      await importCatalogue();
    } finally {
      rows.pop();
    }
    await imports.imdbFolder();
    const report = await imports.importImdb();
    expect(report?.notes).toContainEqual(expect.stringMatching(/^1 matched with films of other sources/));
    expect(await imports.movieOf('vega:6')).toMatchObject({
      title: 'Brazil',
      runtimeMinutes: 132,
      externalIds: [{ source: 'imdb', value: 'tt0088846' }],
    });
    expect(await imports.importImdb()).toMatchObject({ written: 0 });
  });

  it('an import that fails in the middle gives the same films when it runs again', async () => {
    await importCatalogue();
    const { pool } = imports.subgraph;
    await pool.query(`
      CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$;
      CREATE TRIGGER cut BEFORE INSERT ON external_id FOR EACH ROW
        WHEN (new.value = '4973') EXECUTE FUNCTION cut()`);
    await expect(importMovieLens()).rejects.toThrow('cut');
    await pool.query('DROP TRIGGER cut ON external_id');
    await importMovieLens();
    expect(await films()).toEqual(expected);
  });

  it('films that an earlier release added twice are counted and stay as they are', async () => {
    await importMovieLens();
    await imports.subgraph.pool.query(`
      INSERT INTO movie (id, title, release_year, created_at, updated_at)
      VALUES ('vega:1', 'The Godfather', 1972, now(), now())`);
    for (const report of [await importCatalogue(), await importMovieLens()]) {
      expect(report?.notes).toContain('1 films that were added before stand twice, and stay as they are');
    }
    expect(await imports.movieOf('vega:1')).not.toBeNull();
    expect(await imports.movieOf('movielens:858')).not.toBeNull();
  });
});
