import { movieChanged, movieCreated } from '@cinegraph/events/metadata';
import { newId } from '@cinegraph/service/clock';
import { Refusal } from '@cinegraph/service/refusal';
import { codes } from './codes.js';
import type { Prisma } from './generated/prisma/client.js';
import type {
  CreditRole,
  ExternalIdInput,
  MovieChanges,
  MovieInput,
  PersonInput,
} from './generated/resolvers.js';
import type { MoneyModel, MovieModel, PersonModel } from './models.js';
import { tellOfMovie } from './movie-events.js';
import { genresOf, settleRelease } from './rules.js';
import { findMovieIn } from './queries.js';

/** Adds a movie in the open transaction, and tells so with it. Refuses before it writes anything. */
export const insertMovie = async (
  tx: Prisma.TransactionClient,
  id: string,
  input: MovieInput,
  now: Date,
): Promise<MovieModel> => {
  await refuseTakenIds(tx, id, input.externalIds ?? []);
  const credits = await castCredits(tx, id, input);
  const { title, ...facts } = settle(unknownMovie, input);
  await tx.movie.create({ data: { id, title: title ?? '', ...facts, createdAt: now, updatedAt: now } });
  await replaceParts(tx, id, input, credits);
  const movie = await readBack(tx, id);
  await tellOfMovie(tx, movieCreated, movie);
  return movie;
};

/**
 * Changes a movie that the open transaction has locked, raises its version, and tells so with it. Refuses before it writes
 * anything.
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
  const credits = await castCredits(tx, id, changes);
  await tx.movie.update({
    where: { id },
    data: { title: title ?? movie.title, ...facts, updatedAt: now, version: { increment: 1 } },
  });
  await replaceParts(tx, id, changes, credits);
  const changedMovie = await readBack(tx, id);
  await tellOfMovie(tx, movieChanged, changedMovie);
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

/** The columns of a movie after changes: what was left out stays, null clears. */
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

/** Credits to write, and the people who are new with them. A role that the input leaves out is not among `roles`. */
interface PreparedCredits {
  readonly roles: readonly CreditRole[];
  readonly newPeople: readonly PersonModel[];
  readonly credits: readonly {
    movieId: string;
    role: CreditRole;
    position: number;
    personId: string;
    character: string | null;
  }[];
}

const castCredits = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  { directors, cast }: MovieChanges,
): Promise<PreparedCredits> => {
  const parts = [
    ...(directors ?? []).map((person, index) => ({
      role: 'DIRECTOR' as const,
      index,
      person,
      character: null,
    })),
    ...(cast ?? []).map(({ person, character }, index) => ({
      role: 'ACTOR' as const,
      index,
      person,
      character: character ?? null,
    })),
  ];
  await refuseUnknownPeople(tx, parts);
  const newPeople: PersonModel[] = [];
  const credits = parts.map(({ role, index, person: { id, name }, character }) => {
    const personId = id ?? newId();
    if (name != null) newPeople.push({ id: personId, name });
    return { movieId, role, position: index + 1, personId, character };
  });
  const roles: CreditRole[] = [];
  if (directors !== undefined) roles.push('DIRECTOR');
  if (cast !== undefined) roles.push('ACTOR');
  return { roles, newPeople, credits };
};

const refuseUnknownPeople = async (
  tx: Prisma.TransactionClient,
  parts: readonly { readonly person: PersonInput }[],
): Promise<void> => {
  const ids = [...new Set(parts.flatMap(({ person }) => person.id ?? []))];
  if (ids.length === 0) return;
  const found = new Set((await tx.person.findMany({ where: { id: { in: ids } } })).map(({ id }) => id));
  const unknown = ids.find((id) => !found.has(id));
  if (unknown === undefined) return;
  throw new Refusal(
    codes.personNotFound,
    'A person to credit is not known. Give a "name" to add a new one.',
    {
      personId: unknown.slice(0, 200),
    },
  );
};

/** Writes the lists that the input gives, each as a whole. */
const replaceParts = async (
  tx: Prisma.TransactionClient,
  movieId: string,
  { genres: names, externalIds }: MovieChanges,
  { roles, newPeople, credits }: PreparedCredits,
): Promise<void> => {
  if (names !== undefined) {
    // In the order of ids, so that two movies with the same new genres cannot wait for each other.
    const genres = genresOf(names ?? []).toSorted((left, right) => (left.id < right.id ? -1 : 1));
    await tx.movieGenre.deleteMany({ where: { movieId } });
    await tx.genre.createMany({ data: genres.map(({ id, name }) => ({ id, name })), skipDuplicates: true });
    await tx.movieGenre.createMany({ data: genres.map(({ id }) => ({ movieId, genreId: id })) });
  }
  if (roles.length > 0) {
    await tx.credit.deleteMany({ where: { movieId, role: { in: [...roles] } } });
    await tx.person.createMany({ data: [...newPeople] });
    await tx.credit.createMany({ data: [...credits] });
  }
  if (externalIds !== undefined) {
    await tx.externalId.deleteMany({ where: { movieId } });
    await tx.externalId.createMany({
      data: (externalIds ?? []).map(({ source, value }) => ({ source, value, movieId })),
    });
  }
};

const readBack = async (tx: Prisma.TransactionClient, id: string): Promise<MovieModel> => {
  const movie = await findMovieIn(tx, id);
  if (!movie) throw new Error(`the movie ${id} is not there after it was written`);
  return movie;
};
