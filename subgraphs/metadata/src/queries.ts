import type { SortValues } from '@cinegraph/subgraph/pagination';
import type pg from 'pg';
import { Prisma, type PrismaClient } from './generated/prisma/client.js';
import type { CreditRole, ExternalId, ExternalRating } from './generated/resolvers.js';
import type { CreditModel, GenreModel, MovieCredit, MovieLists, MovieModel, PersonModel } from './models.js';
import { movieColumns, toMovie, type MovieRow } from './movie-row.js';

/** A movie that is there, or only the fact that it was deleted. */
export type FoundMovie = MovieModel | 'deleted';

/** One movie's credits of one role. */
export interface CreditsKey {
  readonly movieId: string;
  readonly role: CreditRole;
}

/** A page of one person's credits: `size + 1` of them behind `cursor` ([release day, movie, role, position]). */
export interface FilmographyKey {
  readonly personId: string;
  readonly size: number;
  readonly cursor: SortValues | null;
}

/**
 * Movies by id, deleted ones as 'deleted'; unknown ones are left out. Hot: every reference of another subgraph comes here,
 * so it is a prepared statement on the shared pool, a sixth of the CPU of `findMany` (docs/decisions/0003).
 */
export const findMovies = async (
  pool: pg.Pool,
  ids: readonly string[],
): Promise<ReadonlyMap<string, FoundMovie>> => {
  const { rows } = await pool.query<MovieRow & { deleted: boolean }>({
    name: 'movie_by_id',
    text: `SELECT ${movieColumns}, m.deleted_at IS NOT NULL AS deleted FROM movie m WHERE m.id = ANY ($1::text[])`,
    values: [ids],
  });
  return new Map(rows.map((row) => [row.id, row.deleted ? 'deleted' : toMovie(row)]));
};

/** One movie as the open transaction sees it. */
export const findMovieIn = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<MovieModel | undefined> => {
  const rows = await tx.$queryRaw<
    MovieRow[]
  >`SELECT ${Prisma.raw(movieColumns)} FROM movie m WHERE m.id = ${id}`;
  return rows[0] && toMovie(rows[0]);
};

/** One movie, locked until the open transaction ends; undefined when it is not known. */
export const lockMovie = async (
  tx: Prisma.TransactionClient,
  id: string,
): Promise<FoundMovie | undefined> => {
  const rows = await tx.$queryRaw<(MovieRow & { deleted: boolean })[]>`
    SELECT ${Prisma.raw(movieColumns)}, m.deleted_at IS NOT NULL AS deleted
    FROM movie m WHERE m.id = ${id} FOR UPDATE`;
  return rows[0] && (rows[0].deleted ? 'deleted' : toMovie(rows[0]));
};

/** A client, or a transaction of it. */
type Reader = PrismaClient | Prisma.TransactionClient;

/** A movie's lists as they are now, to be kept with an answer that is given again later. */
export const findMovieLists = async (prisma: Reader, id: string): Promise<MovieLists> => {
  const [genres, credits, externalIds, externalRatings] = [
    await findGenresOfMovies(prisma, [id]),
    await findCreditsOfMovies(prisma, [
      { movieId: id, role: 'DIRECTOR' },
      { movieId: id, role: 'ACTOR' },
    ]),
    await findExternalIdsOfMovies(prisma, [id]),
    await findExternalRatingsOfMovies(prisma, [id]),
  ];
  return {
    genres: genres.get(id) ?? [],
    directors: credits.get(creditsKeyOf({ movieId: id, role: 'DIRECTOR' })) ?? [],
    cast: credits.get(creditsKeyOf({ movieId: id, role: 'ACTOR' })) ?? [],
    externalIds: externalIds.get(id) ?? [],
    externalRatings: externalRatings.get(id) ?? [],
  };
};

/** People by id. */
export const findPeople = async (
  prisma: PrismaClient,
  ids: readonly string[],
): Promise<ReadonlyMap<string, PersonModel>> => {
  const people = await prisma.person.findMany({ where: { id: { in: [...ids] } } });
  return new Map(people.map((person) => [person.id, person]));
};

/** Genres of movies, by name. */
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

/** Credits of movies with their people, in the order of the credits; keyed by `creditsKeyOf`. */
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
    FROM jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS wanted ("movieId" text, role text)
    JOIN credit c ON c.movie_id = wanted."movieId" AND c.role = wanted.role
    JOIN person p ON p.id = c.person_id
    ORDER BY c.position`;
  const credits = rows.map(({ movieId, id, name, ...credit }) => ({
    movieId,
    ...credit,
    person: { id, name },
  }));
  return groupBy(credits, creditsKeyOf);
};

/** Ids of movies with others, by source and value. */
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

/** What others publish as the ratings of movies, by source. */
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

/** The genres of most movies first, then by name, with their counts. */
export const findGenres = (prisma: PrismaClient, first: number): Promise<readonly GenreModel[]> =>
  prisma.$queryRaw<GenreModel[]>`
    SELECT g.id, g.name, count(m.id)::int AS "movieCount"
    FROM genre g
    LEFT JOIN movie_genre mg ON mg.genre_id = g.id
    LEFT JOIN movie m ON m.id = mg.movie_id AND m.deleted_at IS NULL
    GROUP BY g.id
    ORDER BY 3 DESC, g.name COLLATE "C", g.id COLLATE "C"
    LIMIT ${first}`;

/** How many movies have each of these genres, deleted ones left out. */
export const countMoviesOfGenres = async (
  prisma: PrismaClient,
  genreIds: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const rows = await prisma.$queryRaw<{ id: string; count: number }[]>`
    SELECT mg.genre_id AS id, count(*)::int AS count
    FROM movie_genre mg JOIN movie m ON m.id = mg.movie_id AND m.deleted_at IS NULL
    WHERE mg.genre_id = ANY (${genreIds}::text[])
    GROUP BY mg.genre_id`;
  return new Map(rows.map(({ id, count }) => [id, count]));
};

/** The credits of many people, newest movie first, each with its own page, in one statement; keyed by `filmographyKeyOf`. */
export const findFilmographies = async (
  prisma: PrismaClient,
  keys: readonly FilmographyKey[],
): Promise<ReadonlyMap<string, readonly FilmographyCredit[]>> => {
  const wanted = keys.map(({ personId, size, cursor }, place) => ({
    place,
    person: personId,
    size: size + 1,
    day: cursor?.[0] ?? null,
    movie: cursor?.[1] ?? null,
    role: cursor?.[2] ?? null,
    position: cursor?.[3] ?? null,
  }));
  const rows = await prisma.$queryRaw<FilmographyRow[]>`
    SELECT wanted.place, page.*
    FROM jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb)
      AS wanted (place int, person text, size int, day date, movie text, role text, position int)
    CROSS JOIN LATERAL (
      SELECT c.role, c.position, c.character, p.id AS "personId", p.name AS "personName",
        ${Prisma.raw(newestFirst)}::text AS "sortDay", ${Prisma.raw(movieColumns)}
      FROM credit c
      JOIN movie m ON m.id = c.movie_id AND m.deleted_at IS NULL
      JOIN person p ON p.id = c.person_id
      WHERE c.person_id = wanted.person AND (
        wanted.day IS NULL
        OR (${Prisma.raw(newestFirst)}, m.id COLLATE "C", c.role COLLATE "C", c.position)
          < (wanted.day, wanted.movie, wanted.role, wanted.position))
      ORDER BY ${Prisma.raw(newestFirst)} DESC, m.id COLLATE "C" DESC, c.role COLLATE "C" DESC, c.position DESC
      LIMIT wanted.size
    ) AS page
    ORDER BY wanted.place, page."sortDay"::date DESC, page.id COLLATE "C" DESC, page.role COLLATE "C" DESC,
      page.position DESC`;
  const pages = keys.map((): FilmographyCredit[] => []);
  for (const { place, role, position, character, personId, personName, sortDay, ...movie } of rows) {
    pages[place]?.push({
      movie: toMovie(movie),
      person: { id: personId, name: personName },
      role,
      position,
      character,
      sortDay,
    });
  }
  return new Map(keys.map((key, place) => [filmographyKeyOf(key), pages[place] ?? []]));
};

/** A credit with the day by which filmographies are sorted. */
export type FilmographyCredit = CreditModel & { readonly sortDay: string };

type FilmographyRow = MovieRow & {
  place: number;
  role: CreditRole;
  position: number;
  character: string | null;
  personId: string;
  personName: string;
  sortDay: string;
};

const newestFirst = `coalesce(m.release_date, make_date(m.release_year, 1, 1), '-infinity'::date)`;

/** How many credits people have in movies that are there. */
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

/** The loader key of one movie's credits of one role. */
export const creditsKeyOf = ({ movieId, role }: CreditsKey): string => `${role}:${movieId}`;

/** The loader key of a page of a filmography. */
export const filmographyKeyOf = ({ personId, size, cursor }: FilmographyKey): string =>
  JSON.stringify([personId, size, cursor]);

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
