import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import {
  databaseUrlVariable,
  portVariable,
  readEnv,
  serviceVariables,
  subgraphKeyVariable,
  subgraphVariable,
} from './env.js';
import { StartError } from './start-error.js';

describe('readEnv', () => {
  it('returns typed values, reads an empty variable like an unset one, and an unset NODE_ENV as production', () => {
    expect(
      readEnv({ ...serviceVariables, PORT: portVariable.default(4000) }, { PORT: '', HOST: '::1' }),
    ).toEqual({
      NODE_ENV: 'production',
      HOST: '::1',
      LOG_LEVEL: 'info',
      DRAIN_GRACE_MS: 0,
      PORT: 4000,
    });
  });

  it('finds the variables of a subgraph under the name that subgraphVariable returns', () => {
    expect(subgraphVariable('DATABASE_URL_', 'user-reviews.v2')).toBe('DATABASE_URL_USER_REVIEWS_V2');
  });

  it('says how to set a secret and a database that are not set', () => {
    const read = () => readEnv({ SUBGRAPH_KEY: subgraphKeyVariable, DATABASE_URL: databaseUrlVariable }, {});
    expect(read).toThrow(/SUBGRAPH_KEY: is not set, but needed; .* make one with: openssl rand/);
    expect(read).toThrow(/DATABASE_URL: is not set, but needed; set it to the postgresql:/);
  });

  it('throws one error that names every problem and no value', () => {
    const read = () =>
      readEnv(
        { PORT: portVariable, SUBGRAPH_KEY: subgraphKeyVariable, DATABASE_URL: z.string() },
        { PORT: '70000', SUBGRAPH_KEY: 'short-secret' },
      );
    expect(read).toThrow(StartError);
    expect(read).toThrow(
      /PORT: must be a port number.*\n.*SUBGRAPH_KEY: must have at least 32.*\n.*DATABASE_URL: is not set/,
    );
    expect(read).not.toThrow(/short-secret/);
  });
});
