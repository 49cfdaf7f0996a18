import { Refusal } from '@cinegraph/service/refusal';
import { createLoader } from '@cinegraph/subgraph/loader';
import { referredId } from '@cinegraph/subgraph/reference';
import type pg from 'pg';
import { codes } from './codes.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { MovieModel } from './models.js';
import { countMoviesOfGenres, findGenres, findGenresById } from './queries/genres.js';
import {
  countCreditsOfMovies,
  creditPageKeyOf,
  creditsKeyOf,
  findCreditPages,
  findCreditsOfMovies,
  findExternalIdsOfMovies,
  findExternalRatingsOfMovies,
  findGenresOfMovies,
  type CreditPageKey,
  type CreditsKey,
} from './queries/movie-details.js';
import { findMoviesOfGenres, genreMoviesKeyOf, type GenreMoviesKey } from './queries/movie-list.js';
import {
  externalIdKeyOf,
  findMovieIdsByExternalId,
  findMovies,
  type ExternalIdKey,
} from './queries/movies.js';
import {
  countCreditsOfPeople,
  filmographyKeyOf,
  findFilmographies,
  findPeople,
  type FilmographyKey,
} from './queries/people.js';

/** The loaders of metadata. Each batches the keys of all requests of a tick into one SQL statement. */
export type Loaders = ReturnType<typeof createLoaders>;

/** Creates the loaders. One set serves all requests, because nothing is cached beyond a tick. */
export const createLoaders = ({ pool, prisma }: { pool: pg.Pool; prisma: PrismaClient }) => {
  /** Creates a loader whose keys are ids. An id that `find` does not return gives `missing`. */
  const byId = <Value, Missing>(
    find: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value | Error>>,
    missing: Missing,
  ) => createLoader({ find, keyOf: (id: string) => id, missing: () => missing });

  const movies = byId((ids) => findMovies(pool, ids), null);
  const people = byId((ids) => findPeople(prisma, ids), null);
  return {
    /** Loads a movie, or null if the id is unknown or the movie was deleted. */
    movieById: {
      load: async (id: string): Promise<MovieModel | null> => {
        const movie = await movies.load(id);
        return movie === 'deleted' ? null : movie;
      },
    },
    /** Loads a movie by reference: null if the id is unknown, MOVIE_DELETED if the movie was deleted. */
    movieByReference: {
      load: async (id: unknown): Promise<MovieModel | null> => {
        const movie = await movies.load(referredId(id));
        if (movie === 'deleted') throw new Refusal(codes.movieDeleted, 'The movie was deleted.');
        return movie;
      },
    },
    /** Loads the id of the movie with an external id, or null. */
    movieIdByExternalId: createLoader({
      find: (keys: readonly ExternalIdKey[]) => findMovieIdsByExternalId(prisma, keys),
      keyOf: externalIdKeyOf,
      missing: () => null,
    }),
    personById: people,
    genreById: byId((ids) => findGenresById(prisma, ids), null),
    /** Loads a person by reference, or null if the id is unknown. */
    personByReference: { load: async (id: unknown) => people.load(referredId(id)) },
    genresByMovieId: byId((ids) => findGenresOfMovies(prisma, ids), []),
    externalIdsByMovieId: byId((ids) => findExternalIdsOfMovies(prisma, ids), []),
    externalRatingsByMovieId: byId((ids) => findExternalRatingsOfMovies(prisma, ids), []),
    /** Loads the `first` genres with the most movies. One scan serves every request of a tick. */
    genresByFirst: createLoader({
      find: async (firsts: readonly number[]) => {
        const genres = await findGenres(prisma, Math.max(...firsts));
        return new Map(firsts.map((first) => [String(first), genres.slice(0, first)]));
      },
      keyOf: String,
      missing: () => [],
    }),
    /** Loads a page of a genre's movies, and one movie more if there is one. */
    moviesByGenre: createLoader({
      find: (keys: readonly GenreMoviesKey[]) => findMoviesOfGenres(prisma, keys),
      keyOf: genreMoviesKeyOf,
      missing: () => [],
    }),
    movieCountByGenreId: byId((ids) => countMoviesOfGenres(prisma, ids), 0),
    creditCountByPersonId: byId((ids) => countCreditsOfPeople(prisma, ids), 0),
    /** Loads one movie's credits in one role, in their order. */
    creditsByMovie: createLoader({
      find: (keys: readonly CreditsKey[]) => findCreditsOfMovies(prisma, keys),
      keyOf: creditsKeyOf,
      missing: () => [],
    }),
    /** Loads a page of a movie's credits, and one credit more if there is one. */
    creditPageByMovie: createLoader({
      find: (keys: readonly CreditPageKey[]) => findCreditPages(prisma, keys),
      keyOf: creditPageKeyOf,
      missing: () => [],
    }),
    /** Loads how many credits a movie has in one role. */
    creditCountByMovie: createLoader({
      find: (keys: readonly CreditsKey[]) =>
        countCreditsOfMovies(prisma, [...new Set(keys.map(({ movieId }) => movieId))]),
      keyOf: creditsKeyOf,
      missing: () => 0,
    }),
    /** Loads a page of a person's credits, newest movie first, and one credit more if there is one. */
    filmographyByPerson: createLoader({
      find: (keys: readonly FilmographyKey[]) => findFilmographies(prisma, keys),
      keyOf: filmographyKeyOf,
      missing: () => [],
    }),
  };
};
