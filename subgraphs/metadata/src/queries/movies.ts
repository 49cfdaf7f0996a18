import type pg from 'pg';
import { Prisma, type PrismaClient } from '../generated/prisma/client.js';
import type { Certification } from '../generated/resolvers.js';
import type { MoneyModel, MovieModel } from '../models.js';

/** A movie that exists, or only the fact that it was deleted. */
export type FoundMovie = MovieModel | 'deleted';

/**
 * Returns movies by id, deleted ones as 'deleted'; unknown ids are left out. The id of a movie that is joined
 * into another one gives that one. This path is hot, because every
 * reference from another subgraph comes here: a prepared statement on the shared pool costs a sixth of the
 * CPU of `findMany` (docs/decisions/0003).
 */
export const findMovies = async (
  pool: pg.Pool,
  ids: readonly string[],
): Promise<ReadonlyMap<string, FoundMovie>> => {
  const { rows } = await pool.query<MovieRow & { deleted: boolean; joinedInto: string | null }>({
    name: 'movie_by_id',
    text: `SELECT ${movieColumns}, m.deleted_at IS NOT NULL AS deleted, m.joined_into AS "joinedInto"
           FROM movie m WHERE m.id = ANY ($1::text[])`,
    values: [ids],
  });
  const found = new Map<string, FoundMovie>(
    rows.map((row) => [row.id, row.deleted ? 'deleted' : toMovie(row)]),
  );
  const joined = rows.flatMap(({ id, joinedInto }) =>
    joinedInto === null ? [] : [[id, joinedInto] as const],
  );
  if (joined.length === 0) return found;
  const kept = await findMovies(
    pool,
    joined.map(([, into]) => into),
  );
  for (const [id, into] of joined) found.set(id, kept.get(into) ?? 'deleted');
  return found;
};

/** The id of a movie in another catalogue. */
export interface ExternalIdKey {
  readonly source: string;
  readonly value: string;
}

/** Returns the loader key of an external id. */
export const externalIdKeyOf = ({ source, value }: ExternalIdKey): string => JSON.stringify([source, value]);

/** Returns the ids of the movies with these external ids, by `externalIdKeyOf`; unknown ones are left out. */
export const findMovieIdsByExternalId = async (
  prisma: PrismaClient,
  keys: readonly ExternalIdKey[],
): Promise<ReadonlyMap<string, string>> => {
  const found = await prisma.externalId.findMany({
    where: { OR: keys.map(({ source, value }) => ({ source, value })) },
  });
  return new Map(found.map((row) => [externalIdKeyOf(row), row.movieId]));
};

/** Returns one movie as the open transaction sees it, or undefined if there is none. */
export const findMovieIn = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<MovieModel | undefined> => {
  const rows = await tx.$queryRaw<
    MovieRow[]
  >`SELECT ${Prisma.raw(movieColumns)} FROM movie m WHERE m.id = ${id}`;
  return rows[0] && toMovie(rows[0]);
};

/**
 * Locks one movie until the open transaction ends and returns it, or undefined if the id is unknown. A movie
 * that is joined into another one counts as deleted.
 */
export const lockMovie = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<FoundMovie | undefined> => {
  const rows = await tx.$queryRaw<(MovieRow & { deleted: boolean })[]>`
    SELECT ${Prisma.raw(movieColumns)}, m.deleted_at IS NOT NULL AS deleted
    FROM movie m WHERE m.id = ${id} FOR UPDATE`;
  return rows[0] && (rows[0].deleted ? 'deleted' : toMovie(rows[0]));
};

/** Does the same as `lockMovie`, but of a joined movie locks and returns the movie that is kept. */
export const lockKeptMovie = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<FoundMovie | undefined> => {
  const found = await lockMovie(tx, id);
  if (found !== 'deleted') return found;
  const row = await tx.movie.findUnique({ where: { id }, select: { joinedInto: true } });
  return row?.joinedInto == null ? found : lockKeptMovie(tx, row.joinedInto);
};

/** The amounts of money of a movie. Each has a column of its name and another column for its currency. */
type Amounts = 'productionBudget' | 'worldwideGross' | 'domesticGross' | 'domesticDvdSales';

/** A row of `movieColumns`. Each type in it is one that Prisma and the pool read in the same way. */
export type MovieRow = Omit<MovieModel, Amounts | 'certification'> &
  Readonly<Record<Amounts | `${Amounts}Currency` | 'certification', string | null>>;

/**
 * The columns of a movie `m`, for every statement that reads whole movies. PostgreSQL formats days, times and
 * amounts as text: the drivers would convert a day to midnight in the server's time zone and round an amount.
 */
export const movieColumns = `
  m.id, m.title, m.description, to_char(m.release_date, 'YYYY-MM-DD') AS "releaseDate",
  m.release_year AS "releaseYear", m.runtime_minutes AS "runtimeMinutes", m.certification, m.languages,
  m.poster_url AS "posterUrl",
  trim_scale(m.production_budget)::text AS "productionBudget",
  m.production_budget_currency AS "productionBudgetCurrency",
  trim_scale(m.worldwide_gross)::text AS "worldwideGross", m.worldwide_gross_currency AS "worldwideGrossCurrency",
  trim_scale(m.domestic_gross)::text AS "domesticGross", m.domestic_gross_currency AS "domesticGrossCurrency",
  trim_scale(m.domestic_dvd_sales)::text AS "domesticDvdSales",
  m.domestic_dvd_sales_currency AS "domesticDvdSalesCurrency",
  m.version,
  to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt",
  to_char(m.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt"`;

/** Converts a row of `movieColumns` to a movie. */
export const toMovie = (row: MovieRow): MovieModel => ({
  id: row.id,
  title: row.title,
  description: row.description,
  releaseDate: row.releaseDate,
  releaseYear: row.releaseYear,
  runtimeMinutes: row.runtimeMinutes,
  certification: row.certification as Certification | null,
  languages: row.languages,
  posterUrl: row.posterUrl,
  productionBudget: money(row.productionBudget, row.productionBudgetCurrency),
  worldwideGross: money(row.worldwideGross, row.worldwideGrossCurrency),
  domesticGross: money(row.domesticGross, row.domesticGrossCurrency),
  domesticDvdSales: money(row.domesticDvdSales, row.domesticDvdSalesCurrency),
  version: row.version,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
});

const money = (amount: string | null, currency: string | null): MoneyModel | null =>
  amount === null || currency === null ? null : { amount, currency };
