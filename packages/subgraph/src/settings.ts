import { brokerAddressOf, brokerVariables, type BrokerAddress } from '@cinegraph/messaging/open-broker';
import type { Clock } from '@cinegraph/service/clock';
import {
  databaseUrlVariable,
  portVariable,
  readEnv,
  serviceVariables,
  subgraphKeyVariable,
  subgraphVariable,
} from '@cinegraph/service/env';
import { tlsFilesOf, type TlsFiles } from '@cinegraph/service/http/tls';
import { createLogger, type Logger } from '@cinegraph/service/logger';
import type { z } from 'zod';

/** Settings of one running subgraph. A process reads them from the environment; a test passes its own. */
export interface SubgraphSettings {
  readonly mode: 'development' | 'test' | 'production';
  readonly host: string;
  readonly port: number;
  /** The certificates of the listener; without them it has no TLS. */
  readonly tls?: TlsFiles | undefined;
  /** How long `/health/ready` reports unready before the listener closes; 0 by default. */
  readonly drainGraceMs?: number;
  readonly databaseUrl: string;
  /** A process always has a broker; a test may run without one. */
  readonly broker?: BrokerAddress | undefined;
  /** The secret shared with the gateway. Without it (never in production) no request has a viewer. */
  readonly subgraphKey: string | undefined;
  /** Where the variables of the definition are read; an empty environment by default. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly clock?: Clock;
}

const databaseVariableOf = (name: string) => subgraphVariable('DATABASE_URL_', name);

/**
 * Returns the shape of all variables that the subgraph `name` reads; `additional` are those of its
 * definition. A test checks the deployment files against it.
 */
export const subgraphVariables = (
  name: string,
  environment: NodeJS.ProcessEnv,
  additional: z.ZodRawShape = {},
) => ({
  ...additional,
  ...serviceVariables,
  PORT: portVariable.default(0),
  SUBGRAPH_KEY:
    environment['NODE_ENV'] === 'development' || environment['NODE_ENV'] === 'test'
      ? subgraphKeyVariable.optional()
      : subgraphKeyVariable,
  [databaseVariableOf(name)]: databaseUrlVariable,
  ...brokerVariables(environment),
});

/**
 * Reads the settings of the subgraph `name` from the environment. Throws a StartError that names every
 * variable that is missing or wrong.
 */
export const readSubgraphSettings = (
  name: string,
  environment: NodeJS.ProcessEnv,
  additional: z.ZodRawShape = {},
): SubgraphSettings => {
  const env = readEnv(subgraphVariables(name, environment, additional), environment);
  return {
    mode: env.NODE_ENV,
    host: env.HOST,
    port: env.PORT,
    tls: tlsFilesOf(env),
    drainGraceMs: env.DRAIN_GRACE_MS,
    databaseUrl: String((env as Record<string, unknown>)[databaseVariableOf(name)]),
    broker: brokerAddressOf(env),
    subgraphKey: env.SUBGRAPH_KEY,
    environment,
    logger: createLogger({ name, level: env.LOG_LEVEL }),
  };
};
