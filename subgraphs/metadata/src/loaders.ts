import { Refusal } from '@cinegraph/service/refusal';
import { createLoader } from '@cinegraph/subgraph/loader';
import { referredId } from '@cinegraph/subgraph/reference';
import type pg from 'pg';
import { codes } from './codes.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { MovieModel } from './models.js';
import {
  countCreditsOfPeople,
  countMoviesOfGenres,
  creditsKeyOf,
  filmographyKeyOf,
  findCreditsOfMovies,
  findExternalIdsOfMovies,
  findExternalRatingsOfMovies,
  findFilmographies,
  findGenres,
  findGenresOfMovies,
  findMovies,
  findPeople,
} from './queries.js';

/** The loaders of metadata: each batches over all requests of a tick into one SQL statement. */
export type Loaders = ReturnType<typeof createLoaders>;

export const createLoaders = ({ pool, prisma }: { pool: pg.Pool; prisma: PrismaClient }) => {
  /** For a key that is an id, a loader of what `find` answers by it. */
  const byId = <Value, Missing>(
    find: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value | Error>>,
    missing: Missing,
  ) => createLoader({ find, keyOf: (id: string) => id, missing: () => missing });

  const movies = byId((ids) => findMovies(pool, ids), null);
  const people = byId((ids) => findPeople(prisma, ids), null);
  return {
    /** A movie; null when it is not known or was deleted. */
    movieById: {
      load: async (id: string): Promise<MovieModel | null> => {
        const movie = await movies.load(id);
        return movie === 'deleted' ? null : movie;
      },
    },
    /** A movie that another subgraph refers to: null when it is not known, a refusal when it was deleted. */
    movieByReference: {
      load: async (id: unknown): Promise<MovieModel | null> => {
        const movie = await movies.load(referredId(id));
        if (movie === 'deleted') throw new Refusal(codes.movieDeleted, 'The movie was deleted.');
        return movie;
      },
    },
    personById: people,
    /** A person that another subgraph refers to: null when not known. */
    personByReference: { load: async (id: unknown) => people.load(referredId(id)) },
    genresByMovieId: byId((ids) => findGenresOfMovies(prisma, ids), []),
    externalIdsByMovieId: byId((ids) => findExternalIdsOfMovies(prisma, ids), []),
    externalRatingsByMovieId: byId((ids) => findExternalRatingsOfMovies(prisma, ids), []),
    /** All genres by their counts: one walk over the movies for everyone who asks in a tick. */
    genresByFirst: createLoader({
      find: async (firsts: readonly number[]) => {
        const genres = await findGenres(prisma, Math.max(...firsts));
        return new Map(firsts.map((first) => [String(first), genres.slice(0, first)]));
      },
      keyOf: String,
      missing: () => [],
    }),
    movieCountByGenreId: byId((ids) => countMoviesOfGenres(prisma, ids), 0),
    creditCountByPersonId: byId((ids) => countCreditsOfPeople(prisma, ids), 0),
    /** One movie's credits of one role, in their order. */
    creditsByMovie: createLoader({
      find: (keys: Parameters<typeof findCreditsOfMovies>[1]) => findCreditsOfMovies(prisma, keys),
      keyOf: creditsKeyOf,
      missing: () => [],
    }),
    /** A page of a person's credits, newest first, with one more where there is one. */
    filmographyByPerson: createLoader({
      find: (keys: Parameters<typeof findFilmographies>[1]) => findFilmographies(prisma, keys),
      keyOf: filmographyKeyOf,
      missing: () => [],
    }),
  };
};
