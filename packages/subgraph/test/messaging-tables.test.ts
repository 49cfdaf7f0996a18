import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MigrationSet } from '@cinegraph/database/migrate';
import { brokerMigrations, inboxMigrations } from '@cinegraph/messaging/migrations';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import type { SubgraphDefinition } from '../src/definition.js';

let folder: string;
let events: TestDatabase;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subgraph-'));
  await mkdir(join(folder, 'migrations'));
  await writeFile(join(folder, 'schema.graphql'), 'type Query { orders: Int }');
  events = await testDatabase({ name: 'events', migrations: [brokerMigrations] });
});
afterAll(async () => {
  await events.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Starts a subgraph that lists these migrations besides its own, with a consumer or without. */
const start = (listed: readonly MigrationSet[], consumes: boolean) => {
  const definition: SubgraphDefinition<object> = {
    name: 'orders',
    schema: pathToFileURL(join(folder, 'schema.graphql')),
    migrations: [{ migrations: pathToFileURL(join(folder, 'migrations/')) }, ...listed],
    topics: [],
    resolvers: { Query: { orders: () => 3 } },
    open: () => ({
      context: () => ({}),
      ...(consumes && {
        consumers: [{ name: 'consumer', start: async () => undefined, stop: async () => undefined }],
      }),
    }),
  };
  return startTestSubgraph(definition, { broker: { url: events.url } });
};

/** Starts, and returns which tables of messaging there are. */
const tablesOf = async (listed: readonly MigrationSet[], consumes: boolean) => {
  const subgraph = await start(listed, consumes);
  try {
    const { rows } = await subgraph.pool.query<{ outbox: boolean; inbox: boolean }>(
      `SELECT to_regclass('messaging.outbox') IS NOT NULL AS outbox,
         to_regclass('messaging.inbox') IS NOT NULL AS inbox`,
    );
    return rows[0];
  } finally {
    await subgraph.stop();
  }
};

describe('the tables of messaging', () => {
  it('a subgraph that lists only its own migrations gets the outbox, and no inbox', async () => {
    expect(await tablesOf([], false)).toEqual({ outbox: true, inbox: false });
  });

  it('a subgraph with consumers that lists the inbox gets both', async () => {
    expect(await tablesOf([inboxMigrations], true)).toEqual({ outbox: true, inbox: true });
  });

  it('a subgraph with consumers that does not list the inbox is refused with what to do', async () => {
    await expect(start([], true)).rejects.toThrow('Add inboxMigrations');
  });
});
