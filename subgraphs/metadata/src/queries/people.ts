import type { SortValues } from '@cinegraph/subgraph/cursors';
import { Prisma, type PrismaClient } from '../generated/prisma/client.js';
import type { CreditRole } from '../generated/resolvers.js';
import type { CreditModel, PersonModel } from '../models.js';
import { movieColumns, toMovie, type MovieRow } from './movies.js';

/** Returns people by id; unknown ids are left out. */
export const findPeople = async (
  prisma: PrismaClient,
  ids: readonly string[],
): Promise<ReadonlyMap<string, PersonModel>> => {
  const people = await prisma.person.findMany({ where: { id: { in: [...ids] } } });
  return new Map(people.map((person) => [person.id, person]));
};

/** Returns how many credits each of these people has in movies that are not deleted. */
export const countCreditsOfPeople = async (
  prisma: PrismaClient,
  personIds: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const rows = await prisma.$queryRaw<{ id: string; count: number }[]>`
    SELECT c.person_id AS id, count(*)::int AS count
    FROM credit c JOIN movie m ON m.id = c.movie_id AND m.deleted_at IS NULL
    WHERE c.person_id = ANY (${personIds}::text[])
    GROUP BY c.person_id`;
  return new Map(rows.map(({ id, count }) => [id, count]));
};

/**
 * A page of one person's credits: `size + 1` credits after `cursor` ([release day, movie, role, position]).
 */
export interface FilmographyKey {
  readonly personId: string;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/** A credit with the day by which filmographies are sorted. */
export type FilmographyCredit = CreditModel & { readonly sortDay: string };

/**
 * Returns a page of credits for each key, newest movie first. One statement reads all pages; the map is keyed
 * by `filmographyKeyOf`.
 */
export const findFilmographies = async (
  prisma: PrismaClient,
  keys: readonly FilmographyKey[],
): Promise<ReadonlyMap<string, readonly FilmographyCredit[]>> => {
  const requested = keys.map(({ personId, size, cursor }, ordinal) => ({
    ordinal,
    person: personId,
    size: size + 1,
    day: cursor?.[0] ?? null,
    movie: cursor?.[1] ?? null,
    role: cursor?.[2] ?? null,
    position: cursor?.[3] ?? null,
  }));
  const rows = await prisma.$queryRaw<FilmographyRow[]>`
    SELECT requested.ordinal, page.*
    FROM jsonb_to_recordset(${JSON.stringify(requested)}::jsonb)
      AS requested (ordinal int, person text, size int, day date, movie text, role text, position int)
    CROSS JOIN LATERAL (
      SELECT c.role, c.position, c.character, p.id AS "personId", p.name AS "personName",
        ${Prisma.raw(newestFirst)}::text AS "sortDay", ${Prisma.raw(movieColumns)}
      FROM credit c
      JOIN movie m ON m.id = c.movie_id AND m.deleted_at IS NULL
      JOIN person p ON p.id = c.person_id
      WHERE c.person_id = requested.person AND (
        requested.day IS NULL
        OR (${Prisma.raw(newestFirst)}, m.id COLLATE "C", c.role COLLATE "C", c.position)
          < (requested.day, requested.movie, requested.role, requested.position))
      ORDER BY ${Prisma.raw(newestFirst)} DESC, m.id COLLATE "C" DESC, c.role COLLATE "C" DESC, c.position DESC
      LIMIT requested.size
    ) AS page
    ORDER BY requested.ordinal, page."sortDay"::date DESC, page.id COLLATE "C" DESC,
      page.role COLLATE "C" DESC, page.position DESC`;
  const pages = keys.map((): FilmographyCredit[] => []);
  for (const { ordinal, role, position, character, personId, personName, sortDay, ...movie } of rows) {
    pages[ordinal]?.push({
      movie: toMovie(movie),
      person: { id: personId, name: personName },
      role,
      position,
      character,
      sortDay,
    });
  }
  return new Map(keys.map((key, ordinal) => [filmographyKeyOf(key), pages[ordinal] ?? []]));
};

type FilmographyRow = MovieRow & {
  ordinal: number;
  role: CreditRole;
  position: number;
  character: string | null;
  personId: string;
  personName: string;
  sortDay: string;
};

const newestFirst = `coalesce(m.release_date, make_date(m.release_year, 1, 1), '-infinity'::date)`;

/** Returns the loader key of a page of a filmography. */
export const filmographyKeyOf = ({ personId, size, cursor }: FilmographyKey): string =>
  JSON.stringify([personId, size, cursor]);
