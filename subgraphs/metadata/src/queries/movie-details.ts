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
  const rows = await prisma.$queryRaw<
    {
      movieId: string;
      role: CreditRole;
      position: number;
      character: string | null;
      id: string;
      name: string;
    }[]
  >`
    SELECT c.movie_id AS "movieId", c.role, c.position, c.character, p.id, p.name
    FROM jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS requested ("movieId" text, role text)
    JOIN credit c ON c.movie_id = requested."movieId" AND c.role = requested.role
    JOIN person p ON p.id = c.person_id
    ORDER BY c.position`;
  const credits = rows.map(({ movieId, id, name, ...credit }) => ({
    movieId,
    ...credit,
    person: { id, name },
  }));
  return groupBy(credits, creditsKeyOf);
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
