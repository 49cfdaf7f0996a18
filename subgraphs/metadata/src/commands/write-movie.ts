import { movieChanged, movieCreated } from '@cinegraph/events/metadata';
import { Refusal } from '@cinegraph/service/refusal';
import { codes } from '../codes.js';
import type { Prisma } from '../generated/prisma/client.js';
import type { ExternalIdInput, MovieChanges, MovieInput } from '../generated/resolvers.js';
import type { MoneyModel, MovieModel } from '../models.js';
import { externalIdKeyOf, findMovieIn } from '../queries/movies.js';
import { genresOf, settleRelease } from '../rules.js';
import { appendMovieEvent } from './movie-events.js';
import { prepareCredits, replaceCredits, type PreparedCredits } from './write-credits.js';

/**
 * Adds a movie in the open transaction and appends MovieCreated to the outbox. Every refusal is thrown before
 * anything is written.
 */
export const insertMovie = async (
  tx: Prisma.TransactionClient,
  id: string,
  input: MovieInput,
  now: Date,
): Promise<MovieModel> => {
  await refuseTakenIds(tx, id, input.externalIds ?? []);
  const credits = await prepareCredits(tx, id, input);
  const { title, ...facts } = settle(unknownMovie, input);
  await tx.movie.create({ data: { id, title: title ?? '', ...facts, createdAt: now, updatedAt: now } });
  await replaceLists(tx, id, input, credits);
  const movie = await readBack(tx, id);
  await appendMovieEvent(tx, movieCreated, movie);
  return movie;
};

/**
 * Changes a movie that the open transaction has locked, increments its version and appends MovieChanged to
 * the outbox. Every refusal is thrown before anything is written.
 */
export const changeMovie = async (
  tx: Prisma.TransactionClient,
  movie: MovieModel,
  changes: MovieChanges,
  now: Date,
): Promise<MovieModel> => {
  const { id } = movie;
  const { title, ...facts } = settle(movie, changes);
  await refuseTakenIds(tx, id, changes.externalIds ?? []);
  const credits = await prepareCredits(tx, id, changes);
  await tx.movie.update({
    where: { id },
    data: { title: title ?? movie.title, ...facts, updatedAt: now, version: { increment: 1 } },
  });
  await replaceLists(tx, id, changes, credits);
  const changedMovie = await readBack(tx, id);
  await appendMovieEvent(tx, movieChanged, changedMovie);
  return changedMovie;
};

const unknownMovie = {
  description: null,
  releaseDate: null,
  releaseYear: null,
  runtimeMinutes: null,
  certification: null,
  languages: [],
  posterUrl: null,
  productionBudget: null,
  worldwideGross: null,
  domesticGross: null,
  domesticDvdSales: null,
} as const;

/** Returns the columns of a movie after changes. A field that is left out stays as it is; null clears it. */
const settle = (
  current: Omit<MovieModel, 'id' | 'title' | 'version' | 'createdAt' | 'updatedAt'>,
  changes: MovieChanges,
) => {
  const { releaseDate, releaseYear } = settleRelease(current, changes);
  return {
    title: changes.title,
    description: changed(changes.description, current.description),
    releaseDate: releaseDate === null ? null : new Date(`${releaseDate}T00:00:00Z`),
    releaseYear,
    runtimeMinutes: changed(changes.runtimeMinutes, current.runtimeMinutes),
    certification: changed(changes.certification, current.certification),
    languages: [...(changed(changes.languages, current.languages) ?? [])],
    posterUrl: changed(changes.posterUrl, current.posterUrl),
    ...amount('productionBudget', changed(changes.productionBudget, current.productionBudget)),
    ...amount('worldwideGross', changed(changes.worldwideGross, current.worldwideGross)),
    ...amount('domesticGross', changed(changes.domesticGross, current.domesticGross)),
    ...amount('domesticDvdSales', changed(changes.domesticDvdSales, current.domesticDvdSales)),
  };
};

const changed = <Value>(change: Value | undefined, current: Value): Value =>
  change === undefined ? current : change;

const amount = <Name extends string>(name: Name, money: MoneyModel | null) =>
  ({ [name]: money?.amount ?? null, [`${name}Currency`]: money?.currency ?? null }) as Record<
    Name | `${Name}Currency`,
    string | null
  >;

const refuseTakenIds = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  ids: readonly ExternalIdInput[],
): Promise<void> => {
  if (ids.length === 0) return;
  const taken = await tx.externalId.findFirst({
    where: { OR: ids.map(({ source, value }) => ({ source, value })), movieId: { not: movieId } },
  });
  if (!taken) return;
  throw new Refusal(
    codes.externalIdTaken,
    `The ${taken.source} id ${taken.value} belongs to the movie ${taken.movieId}. Change that movie instead.`,
    { movieId: taken.movieId, source: taken.source, value: taken.value },
  );
};

/** Replaces each list that the input contains. A list that is left out stays as it is. */
const replaceLists = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  { genres: names, externalIds }: MovieChanges,
  credits: PreparedCredits,
): Promise<void> => {
  if (names !== undefined) {
    // In the order of their ids, so that two transactions that add the same genres cannot deadlock.
    const genres = genresOf(names ?? []).toSorted((left, right) => (left.id < right.id ? -1 : 1));
    await tx.movieGenre.deleteMany({ where: { movieId } });
    await tx.genre.createMany({ data: genres.map(({ id, name }) => ({ id, name })), skipDuplicates: true });
    await tx.movieGenre.createMany({ data: genres.map(({ id }) => ({ movieId, genreId: id })) });
  }
  await replaceCredits(tx, movieId, credits);
  if (externalIds !== undefined) {
    // An id that came from a joined movie goes back to it when the two are parted.
    const before = await tx.externalId.findMany({ where: { movieId, joinedFrom: { not: null } } });
    const joinedFrom = new Map(before.map((id) => [externalIdKeyOf(id), id.joinedFrom]));
    await tx.externalId.deleteMany({ where: { movieId } });
    await tx.externalId.createMany({
      data: (externalIds ?? []).map(({ source, value }) => ({
        ...{ source, value, movieId },
        joinedFrom: joinedFrom.get(externalIdKeyOf({ source, value })) ?? null,
      })),
    });
  }
};

const readBack = async (tx: Prisma.TransactionClient, id: string): Promise<MovieModel> => {
  const movie = await findMovieIn(tx, id);
  if (!movie) throw new Error(`The movie ${id} cannot be read back after it was written.`);
  return movie;
};
