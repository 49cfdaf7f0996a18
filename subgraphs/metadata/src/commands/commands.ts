import { newId, type Clock } from '@cinegraph/service/clock';
import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isConflict, isDuplicate } from '@cinegraph/database/store-errors';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import {
  checkIdempotencyKey,
  createKeyPruning,
  withIdempotency,
  type KeyedCommand,
} from '@cinegraph/subgraph/idempotency';
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

/** The viewer who sends a command, and the idempotency key that the viewer chose for it, or null. */
export interface Sender {
  readonly viewerId: string;
  readonly idempotencyKey: string | null;
}

/**
 * The commands of metadata. Each is one transaction, which also appends its event to the outbox. With an
 * idempotency key a command is executed once: a repeat returns the movie as it was then, or the same refusal,
 * and another command under the key is refused with IDEMPOTENCY_KEY_REUSED. No key is stored for
 * MOVIE_NOT_FOUND, so that the same command succeeds once the movie was added.
 */
export interface MovieCommands {
  /** Adds a movie. */
  createMovie(sender: Sender, input: MovieInput): Promise<MovieModel>;
  /** Changes a movie that is still at `version`. Otherwise throws VERSION_CONFLICT. */
  updateMovie(sender: Sender, id: string, version: number, changes: MovieChanges): Promise<MovieModel>;
  /** Changes the movie with this id or external id, or adds it if there is none. */
  upsertMovie(
    sender: Sender,
    by: { id: string | null; externalId: ExternalIdInput | null },
    input: MovieInput,
  ): Promise<MovieModel>;
  /** Marks a movie as deleted and returns its id. Has no effect if the movie is already deleted. */
  deleteMovie(sender: Sender, id: string, version: number | null): Promise<string>;
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
  const inTransaction = async <Result>(
    command: Command,
    work: (tx: Prisma.TransactionClient, now: Date) => Promise<Result>,
    isOvertaken: (error: unknown) => boolean = () => false,
  ): Promise<Result> => {
    const keyed = keyedCommandOf(command);
    const isFinal = (refusal: Refusal) => refusal.code !== codes.movieNotFound && !isOvertaken(refusal);
    const attempt = (tx: Prisma.TransactionClient, now: Date): Promise<Result | Refusal> =>
      keyed ? withIdempotency(tx, keyed, now, () => work(tx, now), { isFinal }) : work(tx, now);
    const outcome = await retryOnConflict(
      () => prisma.$transaction((tx) => attempt(tx, clock.now()), { maxWait: 2_000, timeout: 10_000 }),
      // A concurrent transaction may have taken a unique key; the next attempt sees its row.
      {
        attempts: 3,
        isRetryable: (error) => isDuplicate(error) || isConflict(error) || isOvertaken(error),
      },
    );
    if (outcome instanceof Refusal) throw outcome;
    return outcome;
  };
  const writeMovie = (
    command: Command,
    work: (tx: Prisma.TransactionClient, now: Date) => Promise<MovieModel>,
    isOvertaken?: (error: unknown) => boolean,
  ): Promise<MovieModel> =>
    inTransaction(
      command,
      async (tx, now) => {
        const movie = await work(tx, now);
        // A repeat returns the lists, too, as they were then.
        if (command.sender.idempotencyKey === null) return movie;
        return { ...movie, lists: await findMovieLists(tx, movie.id) };
      },
      isOvertaken,
    );

  return {
    createMovie: async (sender, input) => {
      checkMovie(input);
      return writeMovie({ sender, operation: 'createMovie', arguments: input }, (tx, now) =>
        insertMovie(tx, newId(), input, now),
      );
    },

    updateMovie: async (sender, id, version, changes) => {
      checkMovie(changes);
      const command = { sender, operation: 'updateMovie', arguments: { id, version, changes } };
      return writeMovie(command, async (tx, now) => {
        const movie = await requireMovie(tx, id);
        checkVersion(movie, version);
        return changeMovie(tx, movie, changes, now);
      });
    },

    upsertMovie: async (sender, { id, externalId }, input) => {
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
      return writeMovie(
        { sender, operation: 'upsertMovie', arguments: { id, externalId, input } },
        async (tx, now) => {
          const knownId = id ?? (externalId && (await findIdByExternalId(tx, externalId)));
          const locked = knownId === null ? undefined : await lockKeptMovie(tx, knownId);
          const complete =
            externalId === null ? input : withExternalId(input, externalId, locked !== undefined);
          if (!locked) {
            if (id !== null) await checkIdIsFree(tx, id);
            return insertMovie(tx, knownId ?? newId(), complete, now);
          }
          if (locked === 'deleted') throw movieDeleted();
          return changeMovie(tx, locked, complete, now);
          // A movie that was added after the lookup is found by the next attempt.
        },
        (error) => externalId !== null && isTakenId(error, externalId),
      );
    },

    deleteMovie: (sender, id, version) =>
      inTransaction({ sender, operation: 'deleteMovie', arguments: { id, version } }, async (tx, now) => {
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

/** A command as its idempotency key is compared by. */
interface Command extends Pick<KeyedCommand, 'operation' | 'arguments'> {
  readonly sender: Sender;
}

/** Returns the command with its idempotency key, or null if it has none. Refuses a key of a bad length. */
const keyedCommandOf = ({ sender, ...command }: Command): KeyedCommand | null => {
  const { viewerId, idempotencyKey: key } = sender;
  if (key === null) return null;
  checkIdempotencyKey(key);
  return { viewerId, key, ...command };
};

const movieNotFound = () => new Refusal(codes.movieNotFound, 'There is no movie of this id.');
const movieDeleted = () => new Refusal(codes.movieDeleted, 'The movie was deleted.');

/** Throws BAD_USER_INPUT for the id of a person or a genre, which a new movie would hide in `Query.node`. */
const checkIdIsFree = async (tx: Prisma.TransactionClient, id: string): Promise<void> => {
  const where = { where: { id }, select: { id: true } };
  if ((await tx.person.findUnique(where)) === null && (await tx.genre.findUnique(where)) === null) return;
  throw new Refusal(refusalCode.badUserInput, 'A person or a genre has this id. Choose another.', {
    field: 'id',
  });
};

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
