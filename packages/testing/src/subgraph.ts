import type { BaseContext } from '@apollo/server';
import pg from 'pg';
import { systemClock, type Clock } from '@cinegraph/service/clock';
import type { BrokerAddress } from '@cinegraph/messaging/open-broker';
import type { SubgraphDefinition } from '@cinegraph/subgraph/definition';
import { startSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { testDatabase, testPool } from './database.js';
import { silentLogger } from './silent-logger.js';

/** The response of a GraphQL server. */
export interface GraphQLAnswer {
  readonly status: number;
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  }[];
}

/** A subgraph that runs in the test's process on a database of its own. */
export interface TestSubgraph {
  readonly url: string;
  readonly databaseUrl: string;
  /** A pool for the test's own queries. The subgraph has another one. */
  readonly pool: pg.Pool;
  /** Sends a request as the gateway does, with the signed identity of the viewer or of nobody. */
  readonly ask: (
    query: string,
    variables?: Record<string, unknown>,
    options?: { viewer?: string; scopes?: readonly string[]; signed?: boolean },
  ) => Promise<GraphQLAnswer>;
  readonly stop: () => Promise<void>;
}

/** The secret that test gateways and test subgraphs share. */
export const testSubgraphKey = 'the-secret-of-every-test-gateway-and-subgraph';

/**
 * Starts a subgraph on a new database, or as a second replica on `databaseUrl`. It has no broker unless one
 * is given.
 */
export const startTestSubgraph = async <Context extends BaseContext>(
  definition: SubgraphDefinition<Context>,
  options: {
    mode?: 'test' | 'production';
    clock?: Clock;
    databaseUrl?: string;
    broker?: BrokerAddress;
  } = {},
): Promise<TestSubgraph> => {
  const { mode = 'test', clock = systemClock } = options;
  const created =
    options.databaseUrl === undefined
      ? await testDatabase({ name: definition.name, migrations: definition.migrations })
      : undefined;
  const databaseUrl = options.databaseUrl ?? created?.url ?? '';
  const running = await startSubgraph(definition, {
    mode,
    host: '127.0.0.1',
    port: 0,
    databaseUrl,
    broker: options.broker,
    subgraphKey: testSubgraphKey,
    logger: silentLogger,
    clock,
  });
  const pool = testPool(databaseUrl);
  let stopped: Promise<void> | undefined;
  const sign = createIdentitySigner(testSubgraphKey, definition.name, clock);
  return {
    url: running.url,
    databaseUrl,
    pool,
    ask: async (query, variables = {}, { viewer, scopes = [], signed = true } = {}) =>
      askGraphQL(
        `${running.url}/graphql`,
        { query, variables },
        signed ? { [identityHeader]: sign(viewer === undefined ? null : { id: viewer, scopes }) } : {},
      ),
    stop: () =>
      (stopped ??= running
        .stop()
        .then(() => pool.end())
        .then(() => created?.drop())),
  };
};

/** Sends one GraphQL request as JSON and returns the response, whatever its status. */
export const askGraphQL = async (
  url: string,
  body: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<GraphQLAnswer> => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, ...((await response.json()) as Omit<GraphQLAnswer, 'status'>) };
};

/**
 * Runs `work` and returns the SQL statements that this process sent meanwhile over any pool, in order. They
 * include BEGIN, COMMIT and ROLLBACK. Statements that match `except` are left out: those of parts that look
 * for work from time to time.
 */
export const statementsDuring = async (
  work: () => Promise<unknown>,
  except?: RegExp,
): Promise<readonly string[]> => {
  const texts: string[] = [];
  const { prototype } = pg.Client;

  const original = prototype.query;
  const counting = function (this: pg.Client, ...args: unknown[]): unknown {
    const [first] = args;
    const text = typeof first === 'string' ? first : String((first as { text?: unknown }).text);
    if (!except?.test(text)) texts.push(text);
    return Reflect.apply(original, this, args);
  };
  prototype.query = counting as typeof original;
  try {
    await work();
  } finally {
    prototype.query = original;
  }
  return texts;
};
