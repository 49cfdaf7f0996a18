import type { SortValues } from '@cinegraph/subgraph/cursors';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { CreditRole, ExternalId, ExternalRating } from '../generated/resolvers.js';
import type { GenreModel, MovieCredit, MovieLists } from '../models.js';

/** A client, or a transaction of it. */
type Reader = PrismaClient | Prisma.TransactionClient;

/** Returns the genres of each of these movies, sorted by name. */
export const findGenresOfMovies = async (
  prisma: Reader,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, readonly GenreModel[]>> => {
  const rows = await prisma.$queryRaw<(GenreModel & { movieId: string })[]>`
    SELECT mg.movie_id AS "movieId", g.id, g.name
    FROM movie_genre mg JOIN genre g ON g.id = mg.genre_id
    WHERE mg.movie_id = ANY (${movieIds}::text[])
    ORDER BY g.name COLLATE "C", g.id COLLATE "C"`;
  return groupBy(rows, ({ movieId }) => movieId);
};

/** Identifies the credits of one movie in one role. */
export interface CreditsKey {
  readonly movieId: string;
  readonly role: CreditRole;
}

/** Returns the loader key of one movie's credits in one role. */
export const creditsKeyOf = ({ movieId, role }: CreditsKey): string => `${role}:${movieId}`;

/** Returns the credits for each key with their people, in their order. The map is keyed by `creditsKeyOf`. */
export const findCreditsOfMovies = async (
  prisma: Reader,
  keys: readonly CreditsKey[],
): Promise<ReadonlyMap<string, readonly MovieCredit[]>> => {
  const rows = await prisma.$queryRaw<(CreditRow & { movieId: string })[]>`
    SELECT c.movie_id AS "movieId", c.role, c.position, c.character, p.id, p.name
    FROM jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS requested ("movieId" text, role text)
    JOIN credit c ON c.movie_id = requested."movieId" AND c.role = requested.role
    JOIN person p ON p.id = c.person_id
    ORDER BY c.position`;
  const credits = rows.map(({ movieId, ...row }) => ({ movieId, ...toCredit(row) }));
  return groupBy(credits, creditsKeyOf);
};

/** A credit with its person. */
interface CreditRow {
  readonly role: CreditRole;
  readonly position: number;
  readonly character: string | null;
  readonly id: string;
  readonly name: string;
}

const toCredit = ({ id, name, role, position, character }: CreditRow): MovieCredit => ({
  role,
  position,
  character,
  person: { id, name },
});

/** A page of a movie's credits: `size + 1` credits after `cursor` ([role, position]), of one role or all. */
export interface CreditPageKey {
  readonly movieId: string;
  readonly role: CreditRole | null;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/** Returns the loader key of a page of a movie's credits. */
export const creditPageKeyOf = ({ movieId, role, size, cursor }: CreditPageKey): string =>
  JSON.stringify([movieId, role, size, cursor]);

/**
 * Returns a page of credits for each key: the directors, then the cast. One statement reads all pages; the
 * map is keyed by `creditPageKeyOf`.
 */
export const findCreditPages = async (
  prisma: Reader,
  keys: readonly CreditPageKey[],
): Promise<ReadonlyMap<string, readonly MovieCredit[]>> => {
  const requested = keys.map(({ movieId, role, size, cursor }, ordinal) => ({
    ...{ ordinal, movie: movieId, one_role: role, size: size + 1 },
    ...{ role: cursor?.[0] ?? null, position: cursor?.[1] ?? null },
  }));
  const rows = await prisma.$queryRaw<(CreditRow & { ordinal: number })[]>`
    SELECT requested.ordinal, page.*
    FROM jsonb_to_recordset(${JSON.stringify(requested)}::jsonb)
      AS requested (ordinal int, movie text, one_role text, size int, role text, position int)
    CROSS JOIN LATERAL (
      SELECT c.role, c.position, c.character, p.id, p.name
      FROM credit c JOIN person p ON p.id = c.person_id
      WHERE c.movie_id = requested.movie AND (requested.one_role IS NULL OR c.role = requested.one_role)
        AND (requested.role IS NULL OR c.role < requested.role
          OR (c.role = requested.role AND c.position > requested.position))
      ORDER BY c.role DESC, c.position LIMIT requested.size
    ) AS page
    ORDER BY requested.ordinal, page.role DESC, page.position`;
  const pages = keys.map((): MovieCredit[] => []);
  for (const { ordinal, ...row } of rows) pages[ordinal]?.push(toCredit(row));
  return new Map(keys.map((key, ordinal) => [creditPageKeyOf(key), pages[ordinal] ?? []]));
};

/** Returns how many credits each of these movies has in each role, by `creditsKeyOf`. */
export const countCreditsOfMovies = async (
  prisma: Reader,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const rows = await prisma.credit.groupBy({
    by: ['movieId', 'role'],
    where: { movieId: { in: [...movieIds] } },
    _count: true,
  });
  return new Map(
    rows.map(({ movieId, role, _count: count }) => [
      creditsKeyOf({ movieId, role: role as CreditRole }),
      count,
    ]),
  );
};

/** Returns the ids of each of these movies in other catalogues, sorted by source and value. */
export const findExternalIdsOfMovies = async (
  prisma: Reader,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ExternalId[]>> => {
  const rows = await prisma.externalId.findMany({
    where: { movieId: { in: [...movieIds] } },
    orderBy: [{ source: 'asc' }, { value: 'asc' }],
  });
  return groupBy(rows, ({ movieId }) => movieId);
};

/** Returns the ratings that other publishers give each of these movies, sorted by source. */
export const findExternalRatingsOfMovies = async (
  prisma: Reader,
  movieIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ExternalRating[]>> => {
  const rows = await prisma.externalRating.findMany({
    where: { movieId: { in: [...movieIds] } },
    orderBy: { source: 'asc' },
  });
  return groupBy(rows, ({ movieId }) => movieId);
};

/** Returns all lists of one movie, as they are stored with the result of an idempotent command. */
export const findMovieLists = async (prisma: Reader, id: string): Promise<MovieLists> => {
  // One after the other: a transaction has one connection.
  const genres = await findGenresOfMovies(prisma, [id]);
  const directorsKey = { movieId: id, role: 'DIRECTOR' } as const;
  const castKey = { movieId: id, role: 'ACTOR' } as const;
  const credits = await findCreditsOfMovies(prisma, [directorsKey, castKey]);
  const externalIds = await findExternalIdsOfMovies(prisma, [id]);
  const externalRatings = await findExternalRatingsOfMovies(prisma, [id]);
  return {
    genres: genres.get(id) ?? [],
    directors: credits.get(creditsKeyOf(directorsKey)) ?? [],
    cast: credits.get(creditsKeyOf(castKey)) ?? [],
    externalIds: externalIds.get(id) ?? [],
    externalRatings: externalRatings.get(id) ?? [],
  };
};

const groupBy = <Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): ReadonlyMap<string, readonly Row[]> => {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return groups;
};
