import type { PrismaClient } from '../generated/prisma/client.js';
import type { GenreModel } from '../models.js';

/** Returns the `first` genres with the most movies, with their counts. Equal counts are sorted by name. */
export const findGenres = (prisma: PrismaClient, first: number): Promise<readonly GenreModel[]> =>
  prisma.$queryRaw<GenreModel[]>`
    SELECT g.id, g.name, count(m.id)::int AS "movieCount"
    FROM genre g
    LEFT JOIN movie_genre mg ON mg.genre_id = g.id
    LEFT JOIN movie m ON m.id = mg.movie_id AND m.deleted_at IS NULL
    GROUP BY g.id
    ORDER BY 3 DESC, g.name COLLATE "C", g.id COLLATE "C"
    LIMIT ${first}`;

/** Returns genres by id; unknown ids are left out. */
export const findGenresById = async (
  prisma: PrismaClient,
  ids: readonly string[],
): Promise<ReadonlyMap<string, GenreModel>> => {
  const genres = await prisma.genre.findMany({ where: { id: { in: [...ids] } } });
  return new Map(genres.map((genre) => [genre.id, genre]));
};

/** Returns how many movies have each of these genres. Deleted movies are not counted. */
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
