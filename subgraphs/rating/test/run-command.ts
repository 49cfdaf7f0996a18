import { jest } from '@jest/globals';
import { readEnv } from '@cinegraph/service/env';
import { readBrokerAddress } from '@cinegraph/messaging/open-broker';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import type pg from 'pg';
import type { RatingsCommand } from '../src/command-line/command.js';

/** Runs a command as the command line does; answers its exit code, or `usage`, and what it printed. */
export const runCommand = async (
  pool: pg.Pool,
  command: RatingsCommand,
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
    const code = await command.run(args, {
      ...{ pool, folder: undefined },
      variables: (shape) => readEnv(shape, environment),
      brokerAddress: () => readBrokerAddress(environment),
    });
    return { code, printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
};
