import { newId, type Clock } from '@cinegraph/service/clock';
import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isConflict, isDuplicate } from '@cinegraph/database/store-errors';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { checkIdempotencyKey, createKeyPruning, withIdempotency } from '@cinegraph/subgraph/idempotency';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { codes } from '../codes.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { ExternalIdInput, MovieChanges, MovieInput } from '../generated/resolvers.js';
import type { MovieModel } from '../models.js';
import { findMovieLists } from '../queries/movie-details.js';
import { lockKeptMovie, lockMovie } from '../queries/movies.js';
import { checkExternalId, checkMovie, checkMovieId } from '../rules.js';
import { appendDeletion } from './movie-events.js';
import { changeMovie, insertMovie } from './write-movie.js';

/** The commands of metadata. Each is one transaction, which also appends its event to the outbox. */
export interface MovieCommands {
  /** Adds a movie. With an idempotency key it is added once; a repeat returns the movie as it was then. */
  createMovie(viewerId: string, input: MovieInput, idempotencyKey: string | null): Promise<MovieModel>;
  /** Changes a movie that is still at `version`. Otherwise throws VERSION_CONFLICT. */
  updateMovie(id: string, version: number, changes: MovieChanges): Promise<MovieModel>;
  /** Changes the movie with this id or external id, or adds it if there is none. */
  upsertMovie(
    by: { id: string | null; externalId: ExternalIdInput | null },
    input: MovieInput,
  ): Promise<MovieModel>;
  /** Marks a movie as deleted and returns its id. Has no effect if the movie is already deleted. */
  deleteMovie(id: string, version: number | null): Promise<string>;
  readonly parts: readonly Part[];
}

/** Creates the commands. `parts` must run with the service: they delete expired idempotency keys. */
export const createMovieCommands = ({
  prisma,
  clock,
  logger,
}: {
  prisma: PrismaClient;
  clock: Clock;
  logger: Logger;
}): MovieCommands => {
  const inTransaction = <Result>(
    work: (tx: Prisma.TransactionClient, now: Date) => Promise<Result>,
    isOvertaken: (error: unknown) => boolean = () => false,
  ): Promise<Result> =>
    retryOnConflict(
      () => prisma.$transaction((tx) => work(tx, clock.now()), { maxWait: 2_000, timeout: 10_000 }),
      // A concurrent transaction may have taken a unique key; the next attempt sees its row.
      {
        attempts: 3,
        isRetryable: (error) => isDuplicate(error) || isConflict(error) || isOvertaken(error),
      },
    );

  return {
    createMovie: async (viewerId, input, key) => {
      checkMovie(input);
      if (key !== null) checkIdempotencyKey(key);
      const outcome = await inTransaction<MovieModel | Refusal>((tx, now) => {
        if (key === null) return insertMovie(tx, newId(), input, now);
        const command = { viewerId, key, operation: 'createMovie', arguments: input };
        return withIdempotency<MovieModel>(tx, command, now, async () => {
          const movie = await insertMovie(tx, newId(), input, now);
          return { ...movie, lists: await findMovieLists(tx, movie.id) };
        });
      });
      if (outcome instanceof Refusal) throw outcome;
      return outcome;
    },

    updateMovie: async (id, version, changes) => {
      checkMovie(changes);
      return inTransaction(async (tx, now) => {
        const movie = await requireMovie(tx, id);
        checkVersion(movie, version);
        return changeMovie(tx, movie, changes, now);
      });
    },

    upsertMovie: async ({ id, externalId }, input) => {
      if ((id === null) === (externalId === null)) {
        throw new Refusal(
          refusalCode.badUserInput,
          'Name the movie by exactly one of "id" and "externalId".',
          { field: id === null ? 'id' : 'externalId' },
        );
      }
      if (id !== null) checkMovieId(id);
      if (externalId !== null) checkExternalId('externalId', externalId);
      checkMovie(input);
      return inTransaction(
        async (tx, now) => {
          const knownId = id ?? (externalId && (await findIdByExternalId(tx, externalId)));
          const locked = knownId === null ? undefined : await lockKeptMovie(tx, knownId);
          const complete =
            externalId === null ? input : withExternalId(input, externalId, locked !== undefined);
          if (!locked) return insertMovie(tx, knownId ?? newId(), complete, now);
          if (locked === 'deleted') throw movieDeleted();
          return changeMovie(tx, locked, complete, now);
          // A movie that was added after the lookup is found by the next attempt.
        },
        (error) => externalId !== null && isTakenId(error, externalId),
      );
    },

    deleteMovie: (id, version) =>
      inTransaction(async (tx, now) => {
        const movie = await lockMovie(tx, id);
        if (movie === undefined) throw movieNotFound();
        if (movie === 'deleted') return id;
        if (version !== null) checkVersion(movie, version);
        const deleted = await tx.movie.update({
          where: { id },
          data: { deletedAt: now, updatedAt: now, version: { increment: 1 } },
          select: { version: true },
        });
        await appendDeletion(tx, id, deleted.version);
        return id;
      }),

    parts: [createKeyPruning(prisma, clock, logger)],
  };
};

const movieNotFound = () => new Refusal(codes.movieNotFound, 'There is no movie of this id.');
const movieDeleted = () => new Refusal(codes.movieDeleted, 'The movie was deleted.');

const isTakenId = (error: unknown, { source, value }: ExternalIdInput): boolean =>
  error instanceof Refusal &&
  error.code === codes.externalIdTaken &&
  error.details?.['source'] === source &&
  error.details['value'] === value;

const requireMovie = async (tx: Prisma.TransactionClient, id: string): Promise<MovieModel> => {
  const movie = await lockKeptMovie(tx, id);
  if (movie === undefined) throw movieNotFound();
  if (movie === 'deleted') throw movieDeleted();
  return movie;
};

const checkVersion = (movie: MovieModel, version: number): void => {
  if (movie.version === version) return;
  throw new Refusal(
    codes.versionConflict,
    `The movie is at version ${movie.version}, not ${version}. Read it again, then decide.`,
    { currentVersion: movie.version },
  );
};

const findIdByExternalId = async (tx: Prisma.TransactionClient, { source, value }: ExternalIdInput) => {
  const found = await tx.externalId.findUnique({ where: { source_value: { source, value } } });
  return found?.movieId ?? null;
};

/**
 * Returns the input with the external id that names the movie among its external ids. A known movie already
 * has that id, so an input without a list stays without one and leaves the movie's external ids as they are.
 */
const withExternalId = (input: MovieInput, id: ExternalIdInput, known: boolean): MovieInput => {
  if (known && input.externalIds === undefined) return input;
  const others = (input.externalIds ?? []).filter(
    ({ source, value }) => source !== id.source || value !== id.value,
  );
  return { ...input, externalIds: [id, ...others] };
};
