import { join as joinPath } from 'node:path';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { join, part } from '../src/command-line/join.js';
import { twice } from '../src/command-line/twice.js';
import { catalogue } from '../src/import/vega.js';
import { startImports } from './support/imports.js';
import { asEditor } from './support/mutations.js';

let imports: Awaited<ReturnType<typeof startImports>>;
beforeEach(async () => {
  imports = await startImports();
});
afterEach(() => imports.stop());

/** Runs a command as the command line does, and returns what it printed; throws what it refuses. */
const run = async (command: typeof join, ...args: readonly string[]) => {
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  try {
    const code = await command.run(args, { pool: imports.subgraph.pool } as Parameters<typeof join.run>[1]);
    return [code, spy.mock.calls.map(([text]) => String(text)).join('')] as const;
  } finally {
    spy.mockRestore();
  }
};

const importCatalogue = async () => {
  const { folder, subgraph } = imports;
  const rows = [
    { Title: 'Memento', 'Release Date': 'Mar 16 2001', Director: 'Christopher Nolan' },
    { Title: 'Psycho', 'Release Date': 'Dec 04 1998', Director: 'Gus Van Sant' },
  ];
  await imports.put('catalogue.json', JSON.stringify(rows));
  return importInto(catalogue, subgraph.pool, { args: [joinPath(folder, 'catalogue.json')], folder });
};

const importMovieLens = async () => {
  await imports.movieLensFolder(
    ['4226,Memento (2000),Mystery|Thriller', '1219,Psycho (1960),Horror'],
    ['4226,0209144,77', '1219,0054215,539'],
  );
  return imports.importMovieLens();
};

/** Returns the last event of each movie: type, movie and into. */
const lastEvents = async () => {
  const { rows } = await imports.subgraph.pool.query<{ line: string }>(`
    SELECT DISTINCT ON (key) concat_ws(' ', key, type, payload ->> 'version', payload ->> 'into') AS line
    FROM messaging.outbox WHERE key IS NOT NULL ORDER BY key, position DESC`);
  return rows.map(({ line }) => line);
};

const memento = [
  { source: 'imdb', value: 'tt0209144' },
  { source: 'movielens', value: '4226' },
  { source: 'tmdb', value: '77' },
];

const ask = async (query: string) => (await imports.subgraph.ask(query)).data;

describe('two movies that are one film', () => {
  it('twice lists the pairs of movies that may be one film, and the import says so', async () => {
    await importCatalogue();
    const report = await importMovieLens();
    expect(report?.notes).toContain(
      '1 pairs of movies may be one film each: npm run movies -- twice lists them',
    );
    expect(await run(twice)).toEqual([
      0,
      'npm run movies -- join vega:1 movielens:4226  # Memento (2001), Memento (2000)\n' +
        '1 pairs of movies may be one film each. Join those that are; part undoes a join.\n',
    ]);
    await run(join, 'vega:1', 'movielens:4226');
    expect(await run(twice)).toEqual([0, expect.stringMatching(/^0 pairs/)]);
  });

  it('after a join, the id and the external ids of the other movie lead to the kept one', async () => {
    await importCatalogue();
    await importMovieLens();
    await run(join, 'vega:1', 'movielens:4226');
    expect(await imports.movieOf('movielens:4226')).toMatchObject({ id: 'vega:1', externalIds: memento });
    expect(
      await ask(`{
        byId: movieByExternalId(source: "movielens", value: "4226") { id }
        byImdb: movieByExternalId(source: "imdb", value: "tt0209144") { id }
        node(id: "movielens:4226") { id }
        search(text: "movielens:4226") { hits { node { ... on Movie { id } } } }
        movies(filter: { title: "Memento" }) { totalCount nodes { id } }
        _entities(representations: [{ __typename: "Movie", id: "movielens:4226" }]) { ... on Movie { id title } }
      }`),
    ).toEqual({
      byId: { id: 'vega:1' },
      byImdb: { id: 'vega:1' },
      node: { id: 'vega:1' },
      search: { hits: [{ node: { id: 'vega:1' } }] },
      movies: { totalCount: 1, nodes: [{ id: 'vega:1' }] },
      _entities: [{ id: 'vega:1', title: 'Memento' }],
    });
    expect(await lastEvents()).toEqual(
      expect.arrayContaining(['movielens:4226 MovieJoined 2 vega:1', 'vega:1 MovieChanged 2']),
    );
  });

  it('a mutation with the joined id changes the kept movie, and a deletion leaves it', async () => {
    await importCatalogue();
    await importMovieLens();
    await run(join, 'vega:1', 'movielens:4226');
    const mutate = (query: string) => imports.subgraph.ask(query, {}, asEditor);
    expect(
      (
        await mutate(
          'mutation { updateMovie(id: "movielens:4226", version: 2, input: { runtimeMinutes: 113 }) { movie { id runtimeMinutes } } }',
        )
      ).data,
    ).toEqual({ updateMovie: { movie: { id: 'vega:1', runtimeMinutes: 113 } } });
    expect(
      (await mutate('mutation { deleteMovie(id: "movielens:4226") { deletedMovieId } }')).errors,
    ).toBeUndefined();
    expect(await imports.movieOf('vega:1')).toMatchObject({ id: 'vega:1', version: 3 });
  });

  it('after a join, the same imports fill the kept movie once, and do not bring the other one back', async () => {
    await importCatalogue();
    await importMovieLens();
    await run(join, 'vega:1', 'movielens:4226');
    await importMovieLens();
    expect(await imports.movieOf('vega:1')).toMatchObject({
      title: 'Memento',
      releaseYear: 2001,
      genres: [{ id: 'mystery' }, { id: 'thriller' }],
      externalIds: memento,
    });
    const before = await imports.contents();
    expect(await importMovieLens()).toMatchObject({ written: 0, unchanged: 2, refused: [] });
    expect(await importCatalogue()).toMatchObject({ written: 0, unchanged: 2, refused: [] });
    expect(await imports.contents()).toEqual(before);
    // Ratings keep the name that their file has for the movie, so that they can go back.
    expect(await imports.handover()).toEqual(
      expect.arrayContaining([
        { movie: 'movielens:4226', version: 2, deleted: false, joinedInto: 'vega:1' },
        { alias: 'imdb:tt0209144', movie: 'movielens:4226' },
      ]),
    );
  });

  it('a parted movie is there again with its external ids, also those that people kept in a change', async () => {
    await importCatalogue();
    await importMovieLens();
    await run(join, 'vega:1', 'movielens:4226');
    const externalIds = memento.filter(({ source }) => source !== 'tmdb');
    await imports.subgraph.ask(
      'mutation ($input: MovieChanges!) { updateMovie(id: "vega:1", version: 2, input: $input) { movie { id } } }',
      { input: { externalIds } },
      asEditor,
    );
    expect(await run(part, 'movielens:4226')).toEqual([
      0,
      'movielens:4226 is parted from vega:1. The ratings that were given for it go back while the graph runs.\n',
    ]);
    expect(await imports.movieOf('movielens:4226')).toMatchObject({
      id: 'movielens:4226',
      releaseYear: 2000,
      externalIds: [{ source: 'imdb', value: 'tt0209144' }],
    });
    expect(await imports.movieOf('vega:1')).toMatchObject({ externalIds: [] });
    expect(await lastEvents()).toEqual(
      expect.arrayContaining(['movielens:4226 MovieChanged 3', 'vega:1 MovieChanged 4']),
    );
    await expect(run(part, 'movielens:4226')).rejects.toThrow('MOVIE_NOT_JOINED: movielens:4226');
  });

  it('movies that were joined into a joined movie lead to the last one, and part one by one', async () => {
    await importCatalogue();
    await importMovieLens();
    await run(join, 'movielens:4226', 'vega:1');
    await run(join, 'movielens:1219', 'movielens:4226');
    for (const id of ['vega:1', 'movielens:4226'])
      expect(await imports.movieOf(id)).toMatchObject({ id: 'movielens:1219' });
    await run(part, 'movielens:4226');
    expect(await imports.movieOf('movielens:4226')).toMatchObject({
      id: 'movielens:4226',
      externalIds: memento.filter(({ source }) => source !== 'movielens'),
    });
    expect(await imports.movieOf('vega:1')).toMatchObject({
      id: 'movielens:1219',
      externalIds: [
        { source: 'imdb', value: 'tt0054215' },
        { source: 'tmdb', value: '539' },
        { source: 'vega', value: '1' },
      ],
    });
  });

  it('a join of unknown, deleted, joined or equal movies is refused with a code and advice', async () => {
    await importCatalogue();
    await importMovieLens();
    await imports.subgraph.ask('mutation { deleteMovie(id: "vega:2") { deletedMovieId } }', {}, asEditor);
    await run(join, 'vega:1', 'movielens:4226');
    expect(await run(join, 'vega:1', 'movielens:4226')).toEqual([
      0,
      'movielens:4226 was joined into vega:1 before.\n',
    ]);
    await expect(run(join, 'vega:1', 'vega:1')).rejects.toThrow(/^SAME_MOVIE: .*Name two/);
    await expect(run(join, 'vega:1', 'nobody')).rejects.toThrow(/^MOVIE_NOT_FOUND: .*Check the id/);
    await expect(run(join, 'vega:1', 'vega:2')).rejects.toThrow(/^MOVIE_DELETED: vega:2/);
    await expect(run(join, 'movielens:1219', 'movielens:4226')).rejects.toThrow(
      /^MOVIE_JOINED: movielens:4226 is joined into vega:1. Part it first: npm run movies -- part movielens:4226/,
    );
    await expect(run(join, 'movielens:4226', 'movielens:1219')).rejects.toThrow(
      /^MOVIE_JOINED: movielens:4226 is joined into vega:1. Join into that one/,
    );
    expect(await run(join, 'vega:1')).toEqual(['usage', '']);
  });
});
