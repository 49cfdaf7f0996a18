import type { Certification } from './generated/resolvers.js';
import type { MoneyModel, MovieModel } from './models.js';

/** The amounts of money of a movie; each is a column of that name and one for its currency. */
type Amounts = 'productionBudget' | 'worldwideGross' | 'domesticGross' | 'domesticDvdSales';

/** A row of `movieColumns`, the same through Prisma and through the pool: no type that the two read differently. */
export type MovieRow = Omit<MovieModel, Amounts | 'certification'> &
  Readonly<Record<Amounts | `${Amounts}Currency` | 'certification', string | null>>;

/**
 * The columns of a movie `m`, for every statement that reads whole movies. Days, moments and amounts are text already:
 * the drivers would turn a day into a moment of the server's time zone, and an amount into a rounded number.
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

/** A movie of its row. */
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
