import { createHash } from 'node:crypto';
import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isConflict, isDuplicate } from '@cinegraph/database/store-errors';
import type { ChunkResult, Importer, ImportTables } from '@cinegraph/subgraph/import/importer';
import { PrismaPg } from '@prisma/adapter-pg';
import { lockImports } from '../commands/join-movies.js';
import { PrismaClient, type Prisma } from '../generated/prisma/client.js';
import type { CreditRole } from '../generated/resolvers.js';
import { adoptIds, createMatcher, type AdoptedChunk, type Entry, type Matcher } from './adopt.js';
import { openMatchReport } from './match-report.js';
import { reconcileFacts } from './reconcile.js';
import type { MovieFacts, SourceMovie } from './source-movie.js';
import * as sql from './write-sql.js';

/** A movie after reconciliation, and which of its facts differ from the tables. */
interface Change {
  readonly id: string;
  readonly facts: MovieFacts;
  readonly changed: ReadonlySet<keyof MovieFacts>;
}

/** The result of a chunk, the ids of all movies in it, and how they were matched with those of others. */
interface WrittenChunk extends ChunkResult {
  readonly ids: Iterable<string>;
  readonly added: number;
  readonly adopted: AdoptedChunk;
}

/**
 * Metadata's tables during an import. An importer that cannot hold its source in memory replaces `prepare`,
 * and uses the matcher itself.
 */
export interface MovieTables extends ImportTables<SourceMovie> {
  readonly matcher: Matcher;
}

type RefusedRecord = NonNullable<ChunkResult['refused']>[number];

const lists: ReadonlySet<keyof MovieFacts> = new Set(['genres', 'directors', 'cast', 'externalIds']);

/**
 * Opens metadata's tables for the movies of one source. A chunk is one transaction of a dozen set-based
 * statements, however many movies it has.
 *
 * A movie whose record is the same as at the last import is not written. Of another movie, only the facts
 * that the source changed are written, with one event; what people edited or deleted stays. A record is
 * refused if an earlier one has the same id, or if it has an external id of another movie. A film that
 * another source has added is not added a second time (docs/decisions/0038); the report has the numbers.
 */
export const openMovieTables =
  (source: string): ((...from: Parameters<Importer<SourceMovie>['open']>) => MovieTables) =>
  (pool, { folder }) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const seen = new Set<string>();
    const matcher = createMatcher(pool);
    const matches = openMatchReport(pool, source, folder);
    let changed = false;
    return {
      matcher,
      prepare: (records) => matcher.surveyAll(records),
      isEmpty: async () => (await prisma.movie.findFirst({ select: { id: true } })) === null,
      write: async (chunk) => {
        const { ids, added, adopted, ...result } = await retryOnConflict(
          () =>
            prisma.$transaction((tx) => writeChunk(tx, { source, seen, matcher }, chunk), {
              timeout: 60_000,
            }),
          // A mutation may have taken an external id of the chunk; the next attempt sees its row.
          { attempts: 3, isRetryable: (error) => isDuplicate(error) || isConflict(error) },
        );
        for (const id of ids) seen.add(id);
        changed ||= result.written > 0;
        matches.add(adopted, added);
        return result;
      },
      finish: (report) => matches.finish(report),
      close: async () => {
        // The first queries after the import need the statistics; autovacuum runs only a minute later.
        if (changed) await prisma.$executeRawUnsafe(sql.gatherStatistics);
        await prisma.$disconnect();
      },
    };
  };

const writeChunk = async (
  tx: Prisma.TransactionClient,
  options: { readonly source: string; readonly seen: ReadonlySet<string>; readonly matcher: Matcher },
  chunk: readonly Entry[],
): Promise<WrittenChunk> => {
  const { source, seen, matcher } = options;
  // Importers take turns, chunk by chunk; mutations wait only for the movies of a chunk. The ids are looked
  // up after the lock, because another importer may be adding the same movies.
  await tx.$executeRawUnsafe(lockImports);
  const refused: RefusedRecord[] = [];
  const ids = new Set<string>();
  const adopted = await adoptIds(tx, chunk, matcher);
  const entries = adopted.entries.filter(({ record, item: { id } }) => {
    const isNew = !seen.has(id) && !ids.has(id);
    if (!isNew) refused.push({ record, reason: `the id ${id} occurs earlier in the source` });
    ids.add(id);
    return isNew;
  });
  const hashes = await sql.ask<{ movie_id: string; hash: string }>(tx, sql.knownHashes, {
    source,
    ids: entries.map(({ item }) => item.id),
  });
  const known = new Map(hashes.map(({ movie_id, hash }) => [movie_id, hash]));
  const differing = await withFreeExternalIds(
    tx,
    entries.filter(({ item }) => known.get(item.id) !== hashOf(item)),
    refused,
  );

  const added = new Set(
    (
      await sql.ask<{ id: string }>(
        tx,
        sql.insertMovies,
        differing.map(({ id, facts }) => sql.toRow(id, facts)),
      )
    ).map(({ id }) => id),
  );
  const present = differing.filter(({ id }) => !added.has(id)).map(({ id }) => id);
  const current = await sql.findCurrent(tx, source, present);
  // A movie that is neither added nor current was deleted here, and stays deleted.
  const written = differing.filter(({ id }) => added.has(id) || current.has(id));
  const changes = written.map(({ id, facts }): Change => {
    const movie = current.get(id);
    if (!movie) return { id, facts, changed: lists };
    const reconciled = reconcileFacts(movie.last, movie.facts, facts);
    return { id, facts: reconciled.facts, changed: new Set(reconciled.changed) };
  });
  const updated = changes.filter(({ id, changed }) => !added.has(id) && changed.size > 0);
  await sql.run(
    tx,
    sql.updateMovies,
    updated.map(({ id, facts }) => sql.toRow(id, facts)),
  );
  // Appended under the row locks, so that the events of a movie are in the order of its versions.
  await sql.run(tx, sql.appendEvents, [
    ...[...added].map((id) => ({ id, added: true })),
    ...updated.map(({ id }) => ({ id, added: false })),
  ]);
  await writeLists(tx, changes);
  // A source may correct a person's name even if the credits of its movies did not change.
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
  return { written: written.length, unchanged, refused, ids, added: added.size, adopted };
};

/** Refuses the movies that have an external id of another movie. Returns the others. */
const withFreeExternalIds = async (
  tx: Prisma.TransactionClient,
  entries: readonly Entry[],
  refused: RefusedRecord[],
): Promise<readonly SourceMovie[]> => {
  const externalIds = entries.flatMap(({ item }) => item.facts.externalIds);
  const rows =
    externalIds.length === 0
      ? []
      : await sql.ask<{ source: string; value: string; movie_id: string }>(
          tx,
          sql.externalIdOwners,
          externalIds,
        );
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
