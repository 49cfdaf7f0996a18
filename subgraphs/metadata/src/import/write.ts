import { createHash } from 'node:crypto';
import { isConflict, isDuplicate } from '@cinegraph/database/store-errors';
import type { ChunkResult, Importer } from '@cinegraph/subgraph/import/run-import';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient, type Prisma } from '../generated/prisma/client.js';
import type { CreditRole } from '../generated/resolvers.js';
import { mergeFacts } from './merge.js';
import type { MovieFacts, SourceMovie } from './source-movie.js';
import * as sql from './write-sql.js';

/** A movie of a chunk and where it stands in its source. */
interface Entry {
  readonly record: string;
  readonly item: SourceMovie;
}

/** A movie after its merge, and which of its facts differ from what the tables hold. */
interface Change {
  readonly id: string;
  readonly facts: MovieFacts;
  readonly changed: ReadonlySet<keyof MovieFacts>;
}

/** What a chunk did, and the ids of the movies that it told of. */
interface WrittenChunk extends ChunkResult {
  readonly told: Iterable<string>;
}

type RefusedRecord = NonNullable<ChunkResult['refused']>[number];

const lists: ReadonlySet<keyof MovieFacts> = new Set(['genres', 'directors', 'cast', 'externalIds']);

/**
 * Opens metadata's tables for the movies of one source. A chunk is one transaction of a dozen set-based statements,
 * however many movies it has. A movie that its source tells as it did last time is not touched; of another, only what
 * the source changed is written, and what people edited or deleted here stays theirs; one event tells of it. An id told twice and an external id
 * of another movie are refused.
 */
export const openMovieTables =
  (source: string): Importer<SourceMovie>['open'] =>
  (pool) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const seen = new Set<string>();
    let changed = false;
    const writeOrRetry = async (entries: readonly Entry[], attempts = 3): Promise<WrittenChunk> => {
      try {
        return await prisma.$transaction((tx) => writeChunk(tx, { source, seen }, entries), {
          timeout: 60_000,
        });
      } catch (error) {
        // Somebody just took an external id of the chunk, or PostgreSQL cut a deadlock with people's writes.
        if (attempts <= 1 || !(isDuplicate(error) || isConflict(error))) throw error;
        return writeOrRetry(entries, attempts - 1);
      }
    };
    return {
      isEmpty: async () => (await prisma.movie.findFirst({ select: { id: true } })) === null,
      write: async (chunk) => {
        const { told, ...result } = await writeOrRetry(chunk);
        for (const id of told) seen.add(id);
        changed ||= result.written > 0;
        return result;
      },
      close: async () => {
        // So that the first lists after an import are planned with knowledge of it; autovacuum comes a minute later.
        if (changed) await prisma.$executeRawUnsafe(sql.gatherStatistics);
        await prisma.$disconnect();
      },
    };
  };

/** The movies under the ids that they have here: sources are matched by their IMDb ids, and by nothing else. */
const adoptKnown = async (
  tx: Prisma.TransactionClient,
  entries: readonly Entry[],
): Promise<readonly Entry[]> => {
  const idsOf = ({ item }: Entry) => item.facts.externalIds.filter(({ source }) => source === 'imdb');
  const owners = await findOwners(tx, entries.flatMap(idsOf));
  if (owners.size === 0) return entries;
  return entries.map((entry) => {
    const id = idsOf(entry).flatMap(({ value }) => owners.get(value) ?? [])[0];
    return id === undefined ? entry : { ...entry, item: { ...entry.item, id } };
  });
};

/** The ids of the movies that have these ids of IMDb. */
const findOwners = async (
  tx: Prisma.TransactionClient,
  wanted: readonly { readonly source: string; readonly value: string }[],
): Promise<ReadonlyMap<string, string>> => {
  if (wanted.length === 0) return new Map();
  const rows = await sql.ask<{ value: string; movie_id: string }>(tx, sql.externalIdOwners, wanted);
  return new Map(rows.map(({ value, movie_id }) => [value, movie_id]));
};

const writeChunk = async (
  tx: Prisma.TransactionClient,
  { source, seen }: { readonly source: string; readonly seen: ReadonlySet<string> },
  chunk: readonly Entry[],
): Promise<WrittenChunk> => {
  // Importers take turns, chunk by chunk; people wait only for the movies of a chunk. Only behind the lock it is certain
  // under which id another importer's movie is known.
  await tx.$executeRawUnsafe(sql.takeTurn);
  const refused: RefusedRecord[] = [];
  const ids = new Set<string>();
  const entries = (await adoptKnown(tx, chunk)).filter(({ record, item: { id } }) => {
    const isNew = !seen.has(id) && !ids.has(id);
    if (!isNew) refused.push({ record, reason: `the id ${id} was told before` });
    ids.add(id);
    return isNew;
  });
  const hashes = await sql.ask<{ movie_id: string; hash: string }>(tx, sql.knownHashes, {
    source,
    ids: entries.map(({ item }) => item.id),
  });
  const known = new Map(hashes.map(({ movie_id, hash }) => [movie_id, hash]));
  const told = await withFreeExternalIds(
    tx,
    entries.filter(({ item }) => known.get(item.id) !== hashOf(item)),
    refused,
  );

  const added = new Set(
    (
      await sql.ask<{ id: string }>(
        tx,
        sql.insertMovies,
        told.map(({ id, facts }) => sql.toRow(id, facts)),
      )
    ).map(({ id }) => id),
  );
  const present = told.filter(({ id }) => !added.has(id)).map(({ id }) => id);
  const current = await sql.findCurrent(tx, source, present);
  // Neither added nor current: deleted here, and left alone.
  const written = told.filter(({ id }) => added.has(id) || current.has(id));
  const changes = written.map(({ id, facts }): Change => {
    const movie = current.get(id);
    if (!movie) return { id, facts, changed: lists };
    const merged = mergeFacts(movie.last, movie.facts, facts);
    return { id, facts: merged.facts, changed: new Set(merged.changed) };
  });
  const updated = changes.filter(({ id, changed }) => !added.has(id) && changed.size > 0);
  await sql.run(
    tx,
    sql.updateMovies,
    updated.map(({ id, facts }) => sql.toRow(id, facts)),
  );
  // Only of those whose version moved; behind their locks, so that their events are in order of it.
  await sql.run(tx, sql.tellWritten, [
    ...[...added].map((id) => ({ id, added: true })),
    ...updated.map(({ id }) => ({ id, added: false })),
  ]);
  await writeLists(tx, changes);
  // A name is the source's, also where the credits are as they were.
  await sql.run(
    tx,
    sql.correctPeople,
    distinctById(
      written.flatMap(({ facts }) => [...facts.directors, ...facts.cast.map(({ person }) => person)]),
    ),
  );
  await sql.run(
    tx,
    sql.replaceRatings,
    written.map(({ id, externalRatings }) => ({
      movie_id: id,
      ratings: externalRatings,
      gone: current.get(id)?.lastRatings ?? [],
    })),
  );
  await sql.run(
    tx,
    sql.putRecords,
    written.map((movie) => ({ movie_id: movie.id, source, hash: hashOf(movie), record: movie })),
  );
  const unchanged = chunk.length - written.length - refused.length;
  return { written: written.length, unchanged, refused, told: ids };
};

/** The movies whose external ids no other movie has, in the tables or earlier in the chunk; the others are refused. */
const withFreeExternalIds = async (
  tx: Prisma.TransactionClient,
  entries: readonly Entry[],
  refused: RefusedRecord[],
): Promise<readonly SourceMovie[]> => {
  const wanted = entries.flatMap(({ item }) => item.facts.externalIds);
  const rows =
    wanted.length === 0
      ? []
      : await sql.ask<{ source: string; value: string; movie_id: string }>(tx, sql.externalIdOwners, wanted);
  const owners = new Map(rows.map(({ source, value, movie_id }) => [`${source} ${value}`, movie_id]));
  return entries.flatMap(({ record, item }) => {
    const keys = item.facts.externalIds.map(({ source, value }) => `${source} ${value}`);
    const taken = keys.find((key) => (owners.get(key) ?? item.id) !== item.id);
    if (taken !== undefined) {
      refused.push({ record, reason: `the external id ${taken} belongs to the movie ${owners.get(taken)}` });
      return [];
    }
    for (const key of keys) owners.set(key, item.id);
    return [item];
  });
};

const writeLists = async (tx: Prisma.TransactionClient, changes: readonly Change[]): Promise<void> => {
  const changesOf = (name: keyof MovieFacts) => changes.filter(({ changed }) => changed.has(name));
  const genres = changesOf('genres');
  const directors = changesOf('directors');
  const cast = changesOf('cast');

  await sql.run(tx, sql.putGenres, distinctById(genres.flatMap(({ facts }) => facts.genres)));
  await sql.run(
    tx,
    sql.putPeople,
    distinctById([
      ...directors.flatMap(({ facts }) => facts.directors),
      ...cast.flatMap(({ facts }) => facts.cast.map(({ person }) => person)),
    ]),
  );
  await sql.run(
    tx,
    sql.replaceGenres,
    genres.map(({ id, facts }) => ({ movie_id: id, ids: facts.genres.map((genre) => genre.id) })),
  );
  const credits = (id: string, role: CreditRole, people: MovieFacts['cast']) => ({
    movie_id: id,
    role,
    people: people.map(({ person, character }) => ({ person_id: person.id, character })),
  });
  await sql.run(tx, sql.replaceCredits, [
    ...directors.map(({ id, facts }) =>
      credits(
        id,
        'DIRECTOR',
        facts.directors.map((person) => ({ person, character: null })),
      ),
    ),
    ...cast.map(({ id, facts }) => credits(id, 'ACTOR', facts.cast)),
  ]);
  await sql.run(
    tx,
    sql.replaceExternalIds,
    changesOf('externalIds').map(({ id, facts }) => ({ movie_id: id, ids: facts.externalIds })),
  );
};

const distinctById = <Row extends { readonly id: string }>(rows: readonly Row[]): readonly Row[] => [
  ...new Map(rows.map((row) => [row.id, row])).values(),
];

const hashOf = (movie: SourceMovie): string =>
  createHash('sha256').update(JSON.stringify(movie)).digest('base64url');
