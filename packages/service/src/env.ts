import { z } from 'zod';
import { tlsVariables } from './http/tls.js';
import { StartError } from './start-error.js';

/**
 * Reads the environment into one typed object; a process calls it once, when it starts. An empty variable
 * counts as unset, because compose files and shells produce such variables. Throws a {@link StartError} that
 * names every missing or invalid variable. If a variable's schema has a description, the error uses it when
 * the variable is not set.
 */
export const readEnv = <Shape extends z.ZodRawShape>(
  shape: Shape,
  source: NodeJS.ProcessEnv,
): z.output<z.ZodObject<Shape>> => {
  const present = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const result = z.object(shape).safeParse(present);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const name = issue.path.join('.');
    const unset = (shape[name] as z.ZodType | undefined)?.description ?? 'is not set, but needed';
    return `  ${name}: ${present[name] === undefined ? unset : issue.message}`;
  });
  throw new StartError(`The environment is not usable:\n${problems.join('\n')}`);
};

/**
 * Returns the name of a subgraph's variable, e.g. `DATABASE_URL_USER_REVIEWS` for `DATABASE_URL_` and
 * `user-reviews`: upper-case, with `_` for every character that is not a letter or a digit.
 */
export const subgraphVariable = (prefix: string, subgraph: string): string =>
  `${prefix}${subgraph.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;

/** A TCP port. 0 lets the system choose a free one. */
export const portVariable = z.coerce
  .number('must be a port number from 0 to 65535')
  .int('must be a port number from 0 to 65535')
  .min(0, 'must be a port number from 0 to 65535')
  .max(65_535, 'must be a port number from 0 to 65535');

/** A duration in milliseconds, from 1 to 600,000 (ten minutes). */
export const millisecondsVariable = z.coerce
  .number('must be a whole number of milliseconds')
  .int('must be a whole number of milliseconds')
  .min(1, 'must be at least 1 millisecond')
  .max(600_000, 'must be at most 600000 milliseconds, which is ten minutes');

/** The secret that the gateway shares with its subgraphs. A secret that is too short is rejected. */
export const subgraphKeyVariable = z
  .string()
  .min(32, 'must have at least 32 characters; make one with: openssl rand -base64 48')
  .describe(
    'is not set, but needed; set the same for the whole graph; make one with: openssl rand -base64 48',
  );

/** The address of a PostgreSQL database. */
export const databaseUrlVariable = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must be a postgresql:// URL; npm start sets it to the embedded PostgreSQL')
  .describe('is not set, but needed; set it to the postgresql:// URL of the database');

/** The addresses of Kafka's brokers: `host:port`, separated by commas. */
export const kafkaBrokersVariable = z
  .string()
  .regex(
    /^([\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}(,([\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5})*$/,
    'must be host:port, or several of them separated by commas, e.g. 127.0.0.1:9092',
  )
  .transform((text) => text.split(','));

/** Variables that every service reads. An unset `NODE_ENV` means production. */
export const serviceVariables = {
  NODE_ENV: z.enum(['development', 'test', 'production']).default('production'),
  HOST: z.string().default('127.0.0.1'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  DRAIN_GRACE_MS: z.coerce
    .number('must be a whole number of milliseconds')
    .int('must be a whole number of milliseconds')
    .min(0, 'must not be negative')
    .max(60_000, 'must be at most 60000')
    .default(0),
  ...tlsVariables,
} as const;
