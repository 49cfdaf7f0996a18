import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';
import { dropTestDatabases } from './database.js';
import { lookForKafka } from './kafka.js';
import { startTestServer } from './server.js';

/** What the tear-down does; jest loads the two files into one process. */
export const tearDown: { run: () => Promise<void> } = { run: async () => undefined };

/**
 * Jest's global set-up: one PostgreSQL for the whole run. With `TEST_DATABASE_URL` (a superuser's URL) the
 * same tests run on that outside server instead, where the run leaves nothing behind.
 */
const globalSetup = async (): Promise<void> => {
  await lookForKafka();
  const env = readEnv({ TEST_DATABASE_URL: z.url().optional() }, process.env);
  const outside = env.TEST_DATABASE_URL;
  const server = outside === undefined ? await startTestServer() : undefined;
  const superuserUrl = server?.superuserUrl ?? String(outside);
  const run = `${process.pid.toString(36)}${Date.now().toString(36)}`;
  // Jest's workers are started after this and inherit it.
  Object.assign(process.env, { TEST_SUPERUSER_URL: superuserUrl, TEST_RUN: run });
  // Jest leaves at once on a signal, without its tear-down.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => void tearDown.run().finally(() => process.exit(code)));
  }
  tearDown.run = server ? server.stop : () => dropTestDatabases(superuserUrl, run);
};

export { globalSetup as default };
