import { decodeEvent } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted } from '@cinegraph/events/metadata';
import { backfill } from '@cinegraph/messaging/outbox/backfill';
import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { until } from '@cinegraph/testing/until';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { movieBackfill } from '../src/backfill.js';
import { nothingKnown } from '../src/import/source-movie.js';
import { catalogue } from '../src/import/vega.js';
import { openMovieTables } from '../src/import/write.js';
import { metadata } from '../src/subgraph.js';
import { asEditor } from './support/mutations.js';

let subgraph: TestSubgraph;
beforeEach(async () => {
  subgraph = await startTestSubgraph(metadata);
});
afterEach(() => subgraph.stop());

interface OutboxEvent {
  readonly type: string;
  readonly data: { readonly movieId: string; readonly version: number; readonly title?: string };
}

/** Returns the events in the outbox in order, each decoded by its schema as a consumer does. */
const outboxEvents = async (): Promise<readonly OutboxEvent[]> => {
  const { rows } = await subgraph.pool.query<{
    type: string;
    version: number;
    topic: string;
    key: string;
    payload: unknown;
  }>('SELECT type, version, topic, key, payload FROM messaging.outbox ORDER BY position');
  return rows.map(({ type, version, topic, key, payload }) => {
    const event = decodeEvent({ type, version, data: payload }, [movieCreated, movieChanged, movieDeleted]);
    if ('code' in event) throw new Error(event.reason);
    expect({ topic, key }).toEqual({ topic: 'metadata.movies.v1', key: event.data.movieId });
    return { type, data: event.data };
  });
};

const create = async (title: string, input: object = {}, key?: string) => {
  const { data, errors } = await subgraph.ask(
    `mutation ($input: MovieInput!, $key: String) {
       createMovie(input: $input, idempotencyKey: $key) { movie { id version } } }`,
    { input: { title, ...input }, key: key ?? null },
    asEditor,
  );
  return { errors, id: (data?.['createMovie'] as { movie: { id: string } } | undefined)?.movie.id ?? '' };
};
const update = (id: string, version: number, input: object) =>
  subgraph.ask(
    'mutation ($id: ID!, $version: Int!, $input: MovieChanges!) { updateMovie(id: $id, version: $version, input: $input) { movie { id } } }',
    { id, version, input },
    asEditor,
  );
const remove = (id: string, version?: number) =>
  subgraph.ask(
    'mutation ($id: ID!, $version: Int) { deleteMovie(id: $id, version: $version) { deletedMovieId } }',
    { id, version: version ?? null },
    asEditor,
  );

describe('the events of metadata', () => {
  it('a movie that is added, changed and deleted gets an event with its version for each of these', async () => {
    const { id } = await create('Brazil', { releaseDate: '1985-02-20' });
    await update(id, 1, { title: 'Brazil!' });
    await subgraph.ask(
      'mutation ($id: ID!) { upsertMovie(id: $id, input: { title: "Brazil", releaseDate: null, releaseYear: null }) { movie { id } } }',
      { id },
      asEditor,
    );
    await remove(id);
    expect(await outboxEvents()).toEqual([
      { type: 'MovieCreated', data: { movieId: id, version: 1, title: 'Brazil', releaseYear: 1985 } },
      { type: 'MovieChanged', data: { movieId: id, version: 2, title: 'Brazil!', releaseYear: 1985 } },
      { type: 'MovieChanged', data: { movieId: id, version: 3, title: 'Brazil', releaseYear: null } },
      { type: 'MovieDeleted', data: { movieId: id, version: 4 } },
    ]);
  });

  it('a refused mutation gets no event, and a repeated one with an idempotency key gets one event', async () => {
    const imdb = { externalIds: [{ source: 'imdb', value: 'tt0088846' }] };
    const { id } = await create('Brazil', imdb, 'key-1');
    await create('Brazil', imdb, 'key-1');
    expect((await create('Another', imdb)).errors).toBeDefined();
    expect((await update(id, 7, { title: 'Too late' })).errors).toBeDefined();
    expect((await remove('none')).errors).toBeDefined();
    await remove(id, 1);
    await remove(id);
    expect((await outboxEvents()).map(({ type }) => type)).toEqual(['MovieCreated', 'MovieDeleted']);
  });

  it('a transaction that does not commit leaves no event', async () => {
    const { id } = await create('Brazil');
    await subgraph.pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON movie DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()`);
    expect((await create('Another')).errors).toBeDefined();
    expect((await update(id, 1, { title: 'Brazil!' })).errors).toBeDefined();
    expect((await remove(id)).errors).toBeDefined();
    expect((await outboxEvents()).map(({ type }) => type)).toEqual(['MovieCreated']);
  });

  it('the events of a movie that many change at once are in the order of its versions', async () => {
    const { id } = await create('Brazil');
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        subgraph.ask(
          'mutation ($id: ID!, $title: String!) { upsertMovie(id: $id, input: { title: $title }) { movie { id } } }',
          { id, title: `Brazil ${n}` },
          asEditor,
        ),
      ),
    );
    const versions = (await outboxEvents()).map(({ data }) => data.version);
    expect(versions.length).toBeGreaterThan(20);
    expect(versions).toEqual(versions.map((_, index) => index + 1));
  });
});

describe('an import', () => {
  it('an import appends one event for each movie that it adds or changes, and no other', async () => {
    const report = await importInto(catalogue, subgraph.pool);
    const first = await outboxEvents();
    expect(first).toHaveLength(report?.written ?? 0);
    expect(new Set(first.map(({ type }) => type))).toEqual(new Set(['MovieCreated']));
    expect(new Set(first.map(({ data }) => data.movieId)).size).toBe(first.length);

    await importInto(catalogue, subgraph.pool);
    expect(await outboxEvents()).toHaveLength(first.length);
  });

  it('an import appends an event with the new version only if the version changed', async () => {
    const movieOf = (title: string, votes: number) => ({
      id: 'source:1',
      facts: {
        ...nothingKnown,
        title,
        release: { date: null, year: 1985 },
      },
      externalRatings: [{ source: 'imdb', average: 7.9, votes, scaleTop: 10 }],
    });
    const tables = openMovieTables('source')(subgraph.pool, { values: {}, folder: undefined });
    const write = (title: string, votes: number) =>
      tables.write([{ record: 'line 1', item: movieOf(title, votes) }]);
    await write('Brazil', 1);
    await tables.close();
    const again = openMovieTables('source')(subgraph.pool, { values: {}, folder: undefined });
    await again.write([{ record: 'line 1', item: movieOf('Brazil', 2) }]);
    await again.close();
    const last = openMovieTables('source')(subgraph.pool, { values: {}, folder: undefined });
    await last.write([{ record: 'line 1', item: movieOf('Brazil!', 2) }]);
    await last.close();
    expect(await outboxEvents()).toEqual([
      {
        type: 'MovieCreated',
        data: { movieId: 'source:1', version: 1, title: 'Brazil', releaseYear: 1985 },
      },
      {
        type: 'MovieChanged',
        data: { movieId: 'source:1', version: 2, title: 'Brazil!', releaseYear: 1985 },
      },
    ]);
  });
});

describe('the backfill', () => {
  const stateOf = async () =>
    (
      await subgraph.pool.query<{ id: string; version: number; deleted: boolean }>(
        'SELECT id, version, deleted_at IS NOT NULL AS deleted FROM movie',
      )
    ).rows;

  it('a backfill appends the state of every movie once, deleted ones included, however often it runs', async () => {
    await importInto(catalogue, subgraph.pool);
    const { id } = await create('Gone');
    await remove(id);
    await subgraph.pool.query('TRUNCATE messaging.outbox');
    const movies = await stateOf();
    expect(await backfill(subgraph.pool, movieBackfill)).toBe(movies.length);
    const state = await outboxEvents();
    expect(new Map(state.map(({ type, data }) => [data.movieId, [type, data.version]]))).toEqual(
      new Map(
        movies.map((movie) => [movie.id, [movie.deleted ? 'MovieDeleted' : 'MovieChanged', movie.version]]),
      ),
    );
    expect(state).toHaveLength(movies.length);
    expect(await backfill(subgraph.pool, movieBackfill)).toBeUndefined();
    expect(await outboxEvents()).toHaveLength(movies.length);
  });

  it('a backfill that was killed continues after its last chunk', async () => {
    await importInto(catalogue, subgraph.pool);
    await subgraph.pool.query('TRUNCATE messaging.outbox');
    // As if it were killed at the end of the third chunk, before the progress is stored.
    await subgraph.pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM messaging.outbox) > 1000 THEN RAISE 'killed'; END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER late BEFORE UPDATE ON messaging.backfill FOR EACH ROW EXECUTE FUNCTION refuse()`);
    await expect(backfill(subgraph.pool, movieBackfill)).rejects.toThrow('killed');
    await subgraph.pool.query('DROP TRIGGER late ON messaging.backfill');
    expect(await outboxEvents()).toHaveLength(1_000);
    await backfill(subgraph.pool, movieBackfill);
    const ids = (await outboxEvents()).map(({ data }) => data.movieId);
    expect(ids).toHaveLength((await stateOf()).length);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('a backfill waits for a transaction that changes a movie, so that the versions stay in order', async () => {
    const { id } = await create('Brazil');
    const client = new pg.Client({ connectionString: subgraph.databaseUrl });
    await client.connect();
    await client.query('BEGIN');
    await client.query('UPDATE movie SET version = 2 WHERE id = $1', [id]);
    await client.query(
      `INSERT INTO messaging.outbox (type, topic, key, payload) VALUES ('MovieChanged', 'metadata.movies.v1', $1,
       jsonb_build_object('movieId', $1::text, 'version', 2, 'title', 'Brazil', 'releaseYear', NULL))`,
      [id],
    );
    const state = { done: false };
    const running = backfill(subgraph.pool, movieBackfill).then(() => (state.done = true));
    await until(async () => {
      const waiting = await subgraph.pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return state.done || waiting.rowCount === 1;
    }, 'the backfill waits for the lock');
    await client.query('COMMIT');
    await running;
    await client.end();
    expect((await outboxEvents()).map(({ data }) => data.version)).toEqual([1, 2, 2]);
  });
});
