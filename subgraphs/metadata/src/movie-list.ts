import type { Page } from '@cinegraph/subgraph/pagination';
import type pg from 'pg';
import { Prisma, type PrismaClient } from './generated/prisma/client.js';
import type { MovieFilter, MovieSort } from './generated/resolvers.js';
import type { MovieModel } from './models.js';
import { movieColumns, toMovie, type MovieRow } from './movie-row.js';

/** A movie of a list and the values that its cursor holds. */
export interface ListedMovie {
  readonly movie: MovieModel;
  readonly sortValues: readonly [value: string, id: string];
}

/**
 * How each order of movies is read. `by` is word for word the expression of an index (see the migration); a missing
 * value stands as the last there can be in its direction, so that a page boundary is one row comparison without nulls.
 */
const orders: Readonly<Record<MovieSort, { by: string; type: string; descending: boolean }>> = {
  TITLE_ASC: { by: `lower(m.title) COLLATE "C"`, type: 'text', descending: false },
  TITLE_DESC: { by: `lower(m.title) COLLATE "C"`, type: 'text', descending: true },
  RELEASE_DATE_ASC: {
    by: `coalesce(m.release_date, make_date(m.release_year, 1, 1), 'infinity'::date)`,
    type: 'date',
    descending: false,
  },
  RELEASE_DATE_DESC: {
    by: `coalesce(m.release_date, make_date(m.release_year, 1, 1), '-infinity'::date)`,
    type: 'date',
    descending: true,
  },
  RUNTIME_ASC: { by: `coalesce(m.runtime_minutes, 2147483647)`, type: 'integer', descending: false },
  RUNTIME_DESC: { by: `coalesce(m.runtime_minutes, 0)`, type: 'integer', descending: true },
  CREATED_AT_ASC: { by: `m.created_at`, type: 'timestamptz', descending: false },
  CREATED_AT_DESC: { by: `m.created_at`, type: 'timestamptz', descending: true },
};

/**
 * The movies of a filter beyond the page's cursor, in the order of walking, one more than the page holds where there is
 * one: a single statement, an index scan from the cursor on. Hot, as most operations begin with it, so it goes over the
 * shared pool; a list without a filter is a prepared statement of its order (a third of the CPU of `$queryRaw`, for 100
 * movies). A filter is planned anew each time: the best plan depends on how much it lets through.
 */
export const findMovieList = async (
  pool: pg.Pool,
  filter: MovieFilter,
  sort: MovieSort,
  page: Page,
): Promise<readonly ListedMovie[]> => {
  const { by, type, descending } = orders[sort];
  const down = descending !== page.backward;
  const direction = Prisma.raw(down ? 'DESC' : 'ASC');
  const beyond = page.cursor
    ? Prisma.sql`AND (${Prisma.raw(by)}, m.id COLLATE "C") ${Prisma.raw(down ? '<' : '>')}
        (${String(page.cursor[0])}::text::${Prisma.raw(type)}, ${String(page.cursor[1])}::text)`
    : Prisma.empty;
  const wanted = conditions(filter);
  const { text, values } = Prisma.sql`
    SELECT ${Prisma.raw(movieColumns)}, (${Prisma.raw(by)})::text AS "sortValue"
    FROM movie m
    WHERE ${Prisma.join(wanted, ' AND ')} ${beyond}
    ORDER BY ${Prisma.raw(by)} ${direction}, m.id COLLATE "C" ${direction}
    LIMIT ${page.size + 1}`;
  const name = `movies_${sort}${page.backward ? '_backward' : ''}${page.cursor ? '_beyond' : ''}`;
  const isWhole = wanted.length === 1;
  const { rows } = await pool.query<MovieRow & { sortValue: string }>({
    text,
    values,
    ...(isWhole && { name }),
  });
  return rows.map((row) => ({ movie: toMovie(row), sortValues: [row.sortValue, row.id] }));
};

/** How many movies fit a filter. */
export const countMovies = async (prisma: PrismaClient, filter: MovieFilter): Promise<number> => {
  const rows = await prisma.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM movie m WHERE ${Prisma.join(conditions(filter), ' AND ')}`;
  return rows[0]?.count ?? 0;
};

/** What identifies the list of a filter and order, whatever way the arguments were written; cursors are bound to it. */
export const movieListScope = (filter: MovieFilter, sort: MovieSort): string => {
  const { title, genre, person, releaseYear, runtimeMinutes, certification } = filter;
  const values = [
    title,
    genre,
    person,
    releaseYear?.from,
    releaseYear?.to,
    runtimeMinutes?.from,
    runtimeMinutes?.to,
    certification,
  ];
  return `Query.movies:${JSON.stringify([sort, ...values.map((value) => value ?? null)])}`;
};

const conditions = ({
  title,
  genre,
  person,
  releaseYear,
  runtimeMinutes,
  certification,
}: MovieFilter): Prisma.Sql[] => {
  const all = [Prisma.sql`m.deleted_at IS NULL`];
  if (title != null) all.push(Prisma.sql`m.title ILIKE ${`%${title.replace(/[\\%_]/g, '\\$&')}%`}`);
  if (genre != null) {
    all.push(
      Prisma.sql`EXISTS (SELECT FROM movie_genre mg WHERE mg.movie_id = m.id AND mg.genre_id = ${genre})`,
    );
  }
  if (person != null) {
    all.push(Prisma.sql`EXISTS (SELECT FROM credit c WHERE c.movie_id = m.id AND c.person_id = ${person})`);
  }
  if (releaseYear?.from != null) all.push(Prisma.sql`m.release_year >= ${releaseYear.from}`);
  if (releaseYear?.to != null) all.push(Prisma.sql`m.release_year <= ${releaseYear.to}`);
  if (runtimeMinutes?.from != null) all.push(Prisma.sql`m.runtime_minutes >= ${runtimeMinutes.from}`);
  if (runtimeMinutes?.to != null) all.push(Prisma.sql`m.runtime_minutes <= ${runtimeMinutes.to}`);
  if (certification != null) all.push(Prisma.sql`m.certification = ${certification}`);
  return all;
};
