import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import {
  millisecondsVariable,
  portVariable,
  readEnv,
  serviceVariables,
  subgraphKeyVariable,
  subgraphVariable,
} from '@cinegraph/service/env';
import { tlsFilesOf } from '@cinegraph/service/http/tls';
import { identityHeader } from '@cinegraph/service/identity';
import { StartError } from '@cinegraph/service/start-error';
import { deadlineHeader, isHttpUrl } from './fetching/client.js';
import { issuersVariable, unprotectedAddresses } from './request/issuers.js';
import type { SubgraphTlsFiles } from './fetching/tls.js';
import type { TrustedOperationsSettings } from './request/trusted-operations.js';

/** The settings of the gateway. Times are in milliseconds. */
export type Config = ReturnType<typeof readConfig>;

/**
 * Headers that the gateway writes or that belong to one connection; a client's values are never forwarded.
 */
const reservedHeaders: ReadonlySet<string> = new Set([
  identityHeader,
  deadlineHeader,
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'origin',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers of a subgraph's response that the gateway writes itself, or that concern one connection. A cookie
 * of one client would reach every client that shares its fetch.
 */
const unreturnedHeaders: ReadonlySet<string> = new Set([
  ...reservedHeaders,
  'age',
  'cache-control',
  'date',
  'etag',
  'expires',
  'last-modified',
  'pragma',
  'server',
  'set-cookie',
  'vary',
]);

const listVariable = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

const headersVariable = listVariable
  .transform((names) => names.map((name) => name.toLowerCase()))
  .refine(
    (names) => names.every((name) => /^[a-z0-9-]+$/.test(name)),
    'must be header names with commas between',
  );

const forwardHeadersVariable = headersVariable.refine(
  (names) => !names.some((name) => reservedHeaders.has(name)),
  'names a header that the gateway writes itself',
);

const switchVariable = z
  .enum(['true', 'false'], 'must be true or false')
  .transform((text) => text === 'true');

const countVariable = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((count) => count >= min && count <= max, `must be from ${min} to ${max}`);

const maxBudget = 1_000_000_000;

const fieldBudgetPattern = /^([_a-z]\w*\.[_a-z]\w*)=([1-9]\d{0,8})$/i;

/** Budgets of single fields: `Type.field=n`, where a client may select the field n times a minute. */
const fieldBudgetsVariable = listVariable
  .refine(
    (items) => items.every((item) => fieldBudgetPattern.test(item)),
    'must be like Mutation.login=10, with commas between',
  )
  .transform((items) => {
    const budgets: Record<string, number> = {};
    for (const item of items) {
      const [, field = '', limit] = fieldBudgetPattern.exec(item) ?? [];
      budgets[field] = Number(limit);
    }
    return budgets;
  });

const fieldsVariable = listVariable.refine(
  (items) => items.every((item) => /^[_a-z]\w*\.[_a-z]\w*$/i.test(item)),
  'must be like Query.me,User.email, with commas between',
);

const redisUrlVariable = z
  .string()
  .refine((text) => URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol), {
    message: 'must be a redis:// or rediss:// URL',
  });

/**
 * What a client may cost each minute by default. Load tests come from one machine, and must not be refused
 * outside production.
 */
const defaultCostPerMinute = { production: 2_000_000, otherwise: 200_000_000 };

const httpUrlVariable = z.string().refine(isHttpUrl, 'must be an http or https URL');

const isOrigin = (text: string): boolean => isHttpUrl(text) && new URL(text).origin === text;

/** The supergraph that is committed beside the gateway. */
const committedSupergraph = fileURLToPath(new URL('../supergraph.graphql', import.meta.url));

/** The saved operations of this repository. */
const committedExamples = fileURLToPath(new URL('../../examples', import.meta.url));

/**
 * The variables that the gateway reads, besides `SUBGRAPH_URL_<NAME>`, `FORWARD_HEADERS_<NAME>` and
 * `COALESCE_<NAME>`. A test checks deployment files against them.
 */
export const gatewayVariables = {
  ...serviceVariables,
  PORT: portVariable.default(4000),
  SUPERGRAPH_PATH: z.string().default(committedSupergraph),
  EXAMPLES_PATH: z.string().default(committedExamples),
  EXECUTOR: z.enum(['own', 'stock']).default('own'),
  OVERRIDE_LABELS: listVariable,
  INTROSPECTION: z.enum(['off', 'whole', 'visible']).optional(),
  SUBGRAPH_KEY: subgraphKeyVariable.optional(),
  JWT_ISSUERS: issuersVariable.default([]),
  DEMO_LOGIN: z
    .string()
    .regex(/^[^:]+:./, 'must be a login and a password with a colon between')
    .optional(),
  SUBGRAPH_CA_PATH: z.string().optional(),
  SUBGRAPH_CLIENT_CERT_PATH: z.string().optional(),
  SUBGRAPH_CLIENT_KEY_PATH: z.string().optional(),
  DEADLINE_MS: millisecondsVariable.default(10_000),
  FORWARD_HEADERS: forwardHeadersVariable,
  CLIENT_FIELDS: fieldsVariable,
  RETURN_HEADERS: headersVariable.refine(
    (names) => !names.some((name) => unreturnedHeaders.has(name) || name.startsWith('access-control-')),
    'names a header that the gateway writes itself, or that concerns one client only',
  ),
  COALESCE: switchVariable.default(true),
  EXPLAIN: switchVariable.optional(),
  TRUSTED_OPERATIONS: z.enum(['off', 'log', 'enforce']).default('off'),
  OPERATIONS_MANIFEST: z.string().optional(),
  BUDGET_COST_PER_MINUTE: countVariable(0, maxBudget).optional(),
  BUDGET_COST_BURST: countVariable(1, maxBudget).optional(),
  BUDGET_FIELDS: fieldBudgetsVariable,
  TRUSTED_PROXIES: countVariable(0, 32).default(0),
  REDIS_URL: redisUrlVariable.optional(),
  CORS_ORIGINS: listVariable.refine(
    (origins) => origins.every(isOrigin),
    'must be origins like https://example.org, with commas between',
  ),
};

/** The manifest, where trusted operations are logged or enforced. */
const manifestVariable = z.string().describe('is not set, but TRUSTED_OPERATIONS needs a manifest');

/** The prefix of variables for one subgraph, as the next two. */
const subgraphUrlPrefix = 'SUBGRAPH_URL_';

const forwardHeadersPrefix = 'FORWARD_HEADERS_';

const coalescePrefix = 'COALESCE_';

/** Returns the shape of the variables in the environment that have a prefix. */
const shapeOf = <Variable extends z.ZodType>(source: NodeJS.ProcessEnv, prefix: string, variable: Variable) =>
  Object.fromEntries(
    Object.keys(source).flatMap((name) => (name.startsWith(prefix) ? [[name, variable] as const] : [])),
  );

/**
 * Reads the gateway's environment, and throws a StartError that lists every problem. `forwardHeaders` are the
 * headers that at least one subgraph receives, and `forwardHeadersOf` those that a subgraph receives.
 * `coalesces` says whether concurrent queries of a subgraph share requests, and `urlOf` replaces its
 * routing_url. `variablesOfOthers` are the variables that are set for none of these subgraphs.
 */
export const readConfig = (source: NodeJS.ProcessEnv) => {
  const urlShape = shapeOf(source, subgraphUrlPrefix, httpUrlVariable.optional());
  // An empty list is a value: this subgraph receives no header.
  const headersShape = shapeOf(source, forwardHeadersPrefix, forwardHeadersVariable);
  const switchShape = shapeOf(source, coalescePrefix, switchVariable.optional());
  const knowsOperations = ['log', 'enforce'].includes(source['TRUSTED_OPERATIONS'] ?? '');
  const shape = { ...urlShape, ...headersShape, ...switchShape, ...gatewayVariables };
  const env = readEnv(knowsOperations ? { ...shape, OPERATIONS_MANIFEST: manifestVariable } : shape, source);
  if (env.NODE_ENV === 'production') {
    for (const address of unprotectedAddresses(env.JWT_ISSUERS))
      throw new StartError(`JWT_ISSUERS: in production ${address} must be an https URL.`);
  }
  const { production, otherwise } = defaultCostPerMinute;
  const costPerMinute =
    env.BUDGET_COST_PER_MINUTE ?? (env.NODE_ENV === 'production' ? production : otherwise);
  const ofSubgraphs = env as Readonly<Record<string, unknown>>;
  const forwardHeadersIn = (variable: string): readonly string[] =>
    (ofSubgraphs[variable] as readonly string[] | undefined) ?? env.FORWARD_HEADERS;
  return {
    environment: env.NODE_ENV,
    host: env.HOST,
    port: env.PORT,
    tls: tlsFilesOf(env),
    subgraphTls: subgraphTlsOf(env),
    drainGraceMs: env.DRAIN_GRACE_MS,
    logLevel: env.LOG_LEVEL,
    supergraphPath: env.SUPERGRAPH_PATH,
    examplesPath: env.EXAMPLES_PATH,
    executor: env.EXECUTOR,
    explains: env.EXPLAIN ?? env.NODE_ENV !== 'production',
    trustedOperations: trustedOperationsOf(env),
    budgets: {
      cost:
        costPerMinute === 0
          ? undefined
          : { perMinute: costPerMinute, burst: env.BUDGET_COST_BURST ?? costPerMinute },
      fields: env.BUDGET_FIELDS,
    },
    trustedProxies: env.TRUSTED_PROXIES,
    redisUrl: env.REDIS_URL,
    overrideLabels: env.OVERRIDE_LABELS,
    introspection: env.INTROSPECTION ?? (env.NODE_ENV === 'production' ? 'off' : 'whole'),
    subgraphKey: env.SUBGRAPH_KEY,
    jwtIssuers: env.JWT_ISSUERS,
    demoLogin: env.DEMO_LOGIN,
    deadlineMs: env.DEADLINE_MS,
    forwardHeaders: [...new Set(['FORWARD_HEADERS', ...Object.keys(headersShape)].flatMap(forwardHeadersIn))],
    forwardHeadersOf: (subgraph: string) =>
      forwardHeadersIn(subgraphVariable(forwardHeadersPrefix, subgraph)),
    clientFields: env.CLIENT_FIELDS,
    returnHeaders: env.RETURN_HEADERS,
    coalesces: (subgraph: string): boolean =>
      (ofSubgraphs[subgraphVariable(coalescePrefix, subgraph)] ?? env.COALESCE) === true,
    corsOrigins: env.CORS_ORIGINS,
    urlOf: (subgraph: string) =>
      ofSubgraphs[subgraphVariable(subgraphUrlPrefix, subgraph)] as string | undefined,
    variablesOfOthers: (subgraphs: readonly string[]): readonly string[] => {
      const known = new Set(
        [subgraphUrlPrefix, forwardHeadersPrefix, coalescePrefix].flatMap((prefix) =>
          subgraphs.map((subgraph) => subgraphVariable(prefix, subgraph)),
        ),
      );
      return Object.keys({ ...urlShape, ...headersShape, ...switchShape }).filter(
        (variable) => ofSubgraphs[variable] !== undefined && !known.has(variable),
      );
    },
  };
};

/** Returns undefined if every operation is trusted; the manifest is not read then. */
const trustedOperationsOf = (env: {
  readonly TRUSTED_OPERATIONS: 'off' | TrustedOperationsSettings['mode'];
  readonly OPERATIONS_MANIFEST?: string | undefined;
}): TrustedOperationsSettings | undefined => {
  const { TRUSTED_OPERATIONS: mode, OPERATIONS_MANIFEST: manifestPath } = env;
  return mode === 'off' || manifestPath === undefined ? undefined : { mode, manifestPath };
};

/** Throws a StartError if only one of the client's certificate and key is set. */
const subgraphTlsOf = (env: {
  readonly SUBGRAPH_CA_PATH?: string | undefined;
  readonly SUBGRAPH_CLIENT_CERT_PATH?: string | undefined;
  readonly SUBGRAPH_CLIENT_KEY_PATH?: string | undefined;
}): SubgraphTlsFiles => {
  const { SUBGRAPH_CLIENT_CERT_PATH: clientCertPath, SUBGRAPH_CLIENT_KEY_PATH: clientKeyPath } = env;
  if ((clientCertPath === undefined) !== (clientKeyPath === undefined)) {
    throw new StartError(
      'The environment is not usable:\n  SUBGRAPH_CLIENT_CERT_PATH, SUBGRAPH_CLIENT_KEY_PATH: set both or neither of them',
    );
  }
  return { caPath: env.SUBGRAPH_CA_PATH, clientCertPath, clientKeyPath };
};
