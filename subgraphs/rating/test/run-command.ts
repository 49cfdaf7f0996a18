import { jest } from '@jest/globals';
import { systemClock } from '@cinegraph/service/clock';
import { readEnv } from '@cinegraph/service/env';
import { openBroker, readBrokerAddress } from '@cinegraph/messaging/open-broker';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { eventCommands } from '@cinegraph/subgraph/jobs/events';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import type pg from 'pg';
import { aggregateBackfill } from '../src/backfill.js';
import { createIngest, ingestVariables, readIngestSettings } from '../src/consumers/ratings-topic.js';
import { createDeletedUsers } from '../src/consumers/deleted-users.js';
import { createKnownMovies } from '../src/consumers/known-movies.js';
import { migrations } from '../src/migrations.js';

/** The commands on rating's events, made of the same parts as in src/command-line/events.ts. */
export const ratingEvents = eventCommands({
  subgraph: 'rating',
  migrations,
  consumers: ({ variables, secret }) => [
    createIngest({ clock: systemClock }, readIngestSettings(variables(ingestVariables), secret)),
    createKnownMovies({ secret }),
    createDeletedUsers({ clock: systemClock, secret }),
  ],
  backfills: [aggregateBackfill],
});

/** Runs a command as the command line does; returns its exit code, or `usage`, and what it printed. */
export const runCommand = async (
  pool: pg.Pool,
  command: Command | undefined,
  args: readonly string[],
  env: Record<string, string> = {},
) => {
  let printed = '';
  const catching = (text: unknown) => {
    printed += String(text);
    return true;
  };
  const spies = [process.stdout, process.stderr].map((stream) =>
    jest.spyOn(stream, 'write').mockImplementation(catching),
  );
  const environment = { SUBGRAPH_KEY: testSubgraphKey, ...env };
  try {
    const code = await command?.run(args, {
      ...{ pool, folder: undefined },
      variables: (shape) => readEnv(shape, environment),
      openBroker: (topics) =>
        openBroker({ clientId: 'rating', topics, logger: silentLogger }, readBrokerAddress(environment)),
    });
    return { code, printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
};
