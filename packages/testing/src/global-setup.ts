import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';
import { dropTestDatabases } from './database.js';
import { lookForKafka } from './kafka.js';
import { startTestServer } from './server.js';

/** The work of the global tear-down, which jest runs in the same process. */
export const tearDown: { run: () => Promise<void> } = { run: async () => undefined };

/**
 * Jest's global set-up: starts one PostgreSQL for the whole run. If `TEST_DATABASE_URL` is set (a superuser's
 * URL), the tests use that server instead, and the tear-down removes everything that they created there.
 */
const globalSetup = async (): Promise<void> => {
  await lookForKafka();
  const env = readEnv({ TEST_DATABASE_URL: z.url().optional() }, process.env);
  const outside = env.TEST_DATABASE_URL;
  const server = outside === undefined ? await startTestServer() : undefined;
  const superuserUrl = server?.superuserUrl ?? String(outside);
  const run = `${process.pid.toString(36)}${Date.now().toString(36)}`;
  // Jest's workers are started later and inherit the environment.
  Object.assign(process.env, { TEST_SUPERUSER_URL: superuserUrl, TEST_RUN: run });
  // On a signal jest exits without its tear-down.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => void tearDown.run().finally(() => process.exit(code)));
  }
  tearDown.run = server ? server.stop : () => dropTestDatabases(superuserUrl, run);
};

export { globalSetup as default };
