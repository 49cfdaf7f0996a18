import { join } from 'node:path';
import { copyRows } from '@cinegraph/subgraph/import/copy';
import { UsageError } from '@cinegraph/service/start-error';
import type { Importer, ImportTables, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { readTable, type Row } from '@cinegraph/subgraph/import/table';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { isStorableText } from '@cinegraph/database/storable-text';
import type pg from 'pg';
import { migrations } from '../migrations.js';
import type { Matcher } from './adopt.js';
import { toSourceRecord, type SourceMovie } from './source-movie.js';
import { openMovieTables } from './write.js';

const files = ['title.basics', 'title.ratings', 'title.crew', 'name.basics'] as const;

/**
 * Creates an importer of IMDb's datasets: four `.tsv.gz` files in a folder, whose lines may be in any order.
 * Titles that are not movies are skipped. A movie gets the id `imdb:<tconst>`, unless another source has
 * added the film; a director gets `person:imdb:<nconst>`. IMDb's rating becomes an external rating and never
 * part of the aggregated rating. Memory grows by one number for each movie and each director, and by what the
 * matcher holds. An importer can be used for one import only.
 */
export const createImdb = (): Importer<SourceMovie> => {
  let client: pg.PoolClient | undefined;
  let matcher: Matcher | undefined;
  return {
    subgraph: 'metadata',
    source: 'imdb',
    items: 'movies',
    migrations,
    read: async ([folder, ...more]) => {
      if (folder === undefined || more.length > 0)
        throw new UsageError('Usage: npm run import -- imdb <folder>');
      const opened: Source[] = [];
      for (const name of files) opened.push(await openSource(join(folder, `${name}.tsv.gz`)));
      const [titles, ratings, crew, names] = opened as [Source, Source, Source, Source];
      if (!client || !matcher) throw new Error('The tables must be opened before the source is read.');
      return {
        total: opened.reduce((sum, { size = 0 }) => sum + size, 0),
        position: () => opened.reduce((sum, { position }) => sum + position(), 0),
        records: readDatasets({ client, matcher }, { titles, ratings, crew, names }),
      };
    },
    open: async (pool, context): Promise<ImportTables<SourceMovie>> => {
      const tables = openMovieTables('imdb')(pool, context);
      matcher = tables.matcher;
      client = await pool.connect();
      return {
        ...tables,
        // The films are surveyed while the files are read, because they do not fit into memory.
        prepare: (records) => records,
        close: async () => {
          // Destroys the connection, and with it the temporary tables.
          client?.release(true);
          await tables.close();
        },
      };
    },
  };
};

/**
 * Yields the movies of the four files. The lines of a movie are in any order, so each file is copied into a
 * temporary table, and a join of the tables yields the movies.
 */
const readDatasets = async function* (
  { client, matcher }: { readonly client: pg.PoolClient; readonly matcher: Matcher },
  { titles, ratings, crew, names }: Readonly<Record<'titles' | 'ratings' | 'crew' | 'names', Source>>,
): AsyncGenerator<SourceRecord<SourceMovie>> {
  await client.query(`SET statement_timeout = 0`);
  await client.query(`
    CREATE TEMP TABLE imdb_title (id text, line bigint, title text, year text, minutes text, genres text);
    CREATE TEMP TABLE imdb_rating (id text, average text, votes text);
    CREATE TEMP TABLE imdb_crew (id text, directors text);
    CREATE TEMP TABLE imdb_name (id text, name text)`);
  const movies = new Set<number>();
  const people = new Set<number>();
  const contains = (set: ReadonlySet<number>, id: string | undefined) => set.has(numberOf(id));

  yield* stage(client, titles, {
    columns: ['tconst', 'titleType', 'primaryTitle', 'startYear', 'runtimeMinutes', 'genres'],
    into: 'imdb_title (id, line, title, year, minutes, genres)',
    take: ([id = '', type, title = '', year = '', minutes = '', genres = ''], line) => {
      if (type !== 'movie') return undefined;
      if (!/^tt\d{7,10}$/.test(id)) return 'tconst is not an id of IMDb';
      movies.add(numberOf(id));
      return [id, line, title, year, minutes, genres];
    },
  });
  yield* stage(client, ratings, {
    columns: ['tconst', 'averageRating', 'numVotes'],
    into: 'imdb_rating (id, average, votes)',
    take: ([id = '', average = '', votes = '']) => {
      if (!contains(movies, id)) return undefined;
      if (!/^\d{1,2}(\.\d+)?$/.test(average) || Number(average) > 10)
        return 'averageRating is not from 0 to 10';
      return /^\d{1,9}$/.test(votes) ? [id, average, votes] : 'numVotes is not a number';
    },
  });
  yield* stage(client, crew, {
    columns: ['tconst', 'directors'],
    into: 'imdb_crew (id, directors)',
    take: ([id = '', directors = '']) => {
      if (!contains(movies, id) || directors === '\\N') return undefined;
      if (!/^nm\d{7,10}(,nm\d{7,10})*$/.test(directors)) return 'directors are not ids of IMDb';
      for (const person of directors.split(',')) people.add(numberOf(person));
      return [id, directors];
    },
  });
  yield* stage(client, names, {
    columns: ['nconst', 'primaryName'],
    into: 'imdb_name (id, name)',
    // A few people have no name; they are left out of the credits.
    take: ([id = '', name = '']) =>
      contains(people, id) && known(name) !== undefined ? [id, name] : undefined,
  });
  // Read twice: to match a film, all films of the source must be known, and they do not fit into memory.
  await matcher.survey(joinedMovies(client));
  yield* joinedMovies(client);
};

const numberOf = (id: string | undefined): number => Number(id?.slice(2));

/**
 * Copies the rows that `take` returns into a table. If `take` returns a reason, the line is refused;
 * undefined skips it.
 */
const stage = async function* (
  client: pg.PoolClient,
  source: Source,
  options: {
    readonly columns: readonly string[];
    readonly into: string;
    readonly take: (
      cells: readonly string[],
      line: number,
    ) => readonly (string | number)[] | string | undefined;
  },
): AsyncGenerator<SourceRecord<SourceMovie>> {
  const { columns, into, take } = options;
  const [, table = '', names = ''] = /^(\w+) \((.*)\)$/.exec(into) ?? [];
  const read = (row: Row) => {
    if (row.fault !== undefined) return row.fault;
    const taken = take(row.cells, row.line);
    if (!Array.isArray(taken) || isStorableText(taken.join(''))) return taken;
    return 'it holds a character that cannot be stored';
  };
  for await (const rows of readTable(source, columns, '\t')) {
    const taken: (readonly (string | number)[])[] = [];
    for (const row of rows) {
      const result = read(row);
      if (typeof result === 'string') {
        yield { record: `${source.name} line ${row.line}`, refused: result, text: row.text };
      } else if (result) {
        taken.push(result);
      }
    }
    await copyRows(client, table, names.split(', '), taken);
  }
  await client.query(`CREATE INDEX ON ${table} (id COLLATE "C"); ANALYZE ${table}`);
};

interface JoinedRow {
  readonly id: string;
  readonly line: string;
  readonly title: string;
  readonly year: string;
  readonly minutes: string;
  readonly genres: string;
  readonly average: string | null;
  readonly votes: string | null;
  readonly directors: readonly { readonly id: string; readonly name: string }[] | null;
}

const pageSize = 1_000;

const joinedMovies = async function* (client: pg.PoolClient): AsyncGenerator<SourceRecord<SourceMovie>> {
  let after = { id: '', line: '0' };
  for (;;) {
    const { rows } = await client.query<JoinedRow>(
      `SELECT t.*, r.average, r.votes, d.directors
       FROM imdb_title t
       LEFT JOIN LATERAL (
         SELECT average, votes FROM imdb_rating WHERE id COLLATE "C" = t.id LIMIT 1) r ON true
       LEFT JOIN LATERAL (
         SELECT jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name) ORDER BY w.ordinal) AS directors
         FROM (SELECT directors FROM imdb_crew WHERE id COLLATE "C" = t.id LIMIT 1) c,
           string_to_table(c.directors, ',') WITH ORDINALITY AS w (id, ordinal),
           LATERAL (SELECT id, name FROM imdb_name WHERE id COLLATE "C" = w.id LIMIT 1) n) d ON true
       WHERE (t.id COLLATE "C", t.line) > ($1, $2::bigint)
       ORDER BY t.id COLLATE "C", t.line LIMIT ${pageSize}`,
      [after.id, after.line],
    );
    for (const row of rows) yield toMovie(row);
    const last = rows.at(-1);
    if (!last) return;
    after = last;
  }
};

const known = (text: string): string | undefined => (text === '\\N' || text === '' ? undefined : text);

const toMovie = (row: JoinedRow): SourceRecord<SourceMovie> => {
  const record = `title.basics.tsv.gz line ${row.line}`;
  const [year, minutes] = [known(row.year), known(row.minutes)];
  const isYear = year === undefined || /^\d{4}$/.test(year);
  const isRuntime = minutes === undefined || /^\d{1,9}$/.test(minutes);
  const directors = (row.directors ?? []).slice(0, 20);
  return toSourceRecord(record, {
    id: `imdb:${row.id}`,
    title: known(row.title) ?? '',
    releaseYear: year === undefined || !isYear ? null : Number(year),
    leftOut: [...(isYear ? [] : ['startYear']), ...(isRuntime ? [] : ['runtimeMinutes'])],
    genres: known(row.genres)?.split(',') ?? [],
    facts: {
      runtimeMinutes: minutes === undefined || !isRuntime || Number(minutes) === 0 ? null : Number(minutes),
      externalIds: [{ source: 'imdb', value: row.id }],
      directors: directors.map(({ id, name }) => ({ id: `person:imdb:${id}`, name })),
    },
    externalRatings:
      row.average === null
        ? []
        : [{ source: 'imdb', average: Number(row.average), votes: Number(row.votes), scaleTop: 10 }],
  });
};
