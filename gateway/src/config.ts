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

const switchVariable = z
  .enum(['true', 'false'], 'must be true or false')
  .transform((text) => text === 'true');

const httpUrlVariable = z.string().refine(isHttpUrl, 'must be an http or https URL');

const isOrigin = (text: string): boolean => isHttpUrl(text) && new URL(text).origin === text;

/** The supergraph that is committed beside the gateway. */
const committedSupergraph = fileURLToPath(new URL('../supergraph.graphql', import.meta.url));

/** The saved operations of this repository. */
const committedExamples = fileURLToPath(new URL('../../examples', import.meta.url));

/**
 * The variables that the gateway reads, besides `SUBGRAPH_URL_<NAME>` and `COALESCE_<NAME>`. A test checks
 * deployment files against them.
 */
export const gatewayVariables = {
  ...serviceVariables,
  PORT: portVariable.default(4000),
  SUPERGRAPH_PATH: z.string().default(committedSupergraph),
  EXAMPLES_PATH: z.string().default(committedExamples),
  EXECUTOR: z.enum(['own', 'stock']).default('own'),
  OVERRIDE_LABELS: listVariable,
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
  FORWARD_HEADERS: headersVariable.refine(
    (names) => !names.some((name) => reservedHeaders.has(name)),
    'names a header that the gateway writes itself',
  ),
  RETURN_HEADERS: headersVariable.refine(
    (names) => !names.some((name) => unreturnedHeaders.has(name) || name.startsWith('access-control-')),
    'names a header that the gateway writes itself, or that concerns one client only',
  ),
  COALESCE: switchVariable.default(true),
  EXPLAIN: switchVariable.optional(),
  TRUSTED_OPERATIONS: z.enum(['off', 'log', 'enforce']).default('off'),
  OPERATIONS_MANIFEST: z.string().optional(),
  CORS_ORIGINS: listVariable.refine(
    (origins) => origins.every(isOrigin),
    'must be origins like https://example.org, with commas between',
  ),
};

/** The manifest, where trusted operations are logged or enforced. */
const manifestVariable = z.string().describe('is not set, but TRUSTED_OPERATIONS needs a manifest');

const subgraphUrlPrefix = 'SUBGRAPH_URL_';

/** Returns the name of the variable that overrides a subgraph's routing_url. */
export const subgraphUrlVariable = (subgraph: string): string =>
  subgraphVariable(subgraphUrlPrefix, subgraph);

const coalescePrefix = 'COALESCE_';

/**
 * Reads the gateway's environment, and throws a StartError that lists every problem. `subgraphUrls` has the
 * values of `SUBGRAPH_URL_<NAME>` by the variable's name. `coalesces` says whether concurrent queries of a
 * subgraph share requests.
 */
export const readConfig = (source: NodeJS.ProcessEnv) => {
  const names = Object.keys(source);
  const urlVariables = names.filter((name) => name.startsWith(subgraphUrlPrefix));
  const coalesceVariables = names.filter((name) => name.startsWith(coalescePrefix));
  const urlShape = Object.fromEntries(urlVariables.map((name) => [name, httpUrlVariable.optional()]));
  const switchShape = Object.fromEntries(coalesceVariables.map((name) => [name, switchVariable.optional()]));
  const knowsOperations = ['log', 'enforce'].includes(source['TRUSTED_OPERATIONS'] ?? '');
  const shape = { ...urlShape, ...switchShape, ...gatewayVariables };
  const env = readEnv(knowsOperations ? { ...shape, OPERATIONS_MANIFEST: manifestVariable } : shape, source);
  if (env.NODE_ENV === 'production') {
    for (const address of unprotectedAddresses(env.JWT_ISSUERS))
      throw new StartError(`JWT_ISSUERS: in production ${address} must be an https URL.`);
  }
  const ofSubgraphs = env as Readonly<Record<string, unknown>>;
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
    overrideLabels: env.OVERRIDE_LABELS,
    subgraphKey: env.SUBGRAPH_KEY,
    jwtIssuers: env.JWT_ISSUERS,
    demoLogin: env.DEMO_LOGIN,
    deadlineMs: env.DEADLINE_MS,
    forwardHeaders: env.FORWARD_HEADERS,
    returnHeaders: env.RETURN_HEADERS,
    coalesces: (subgraph: string): boolean =>
      (ofSubgraphs[subgraphVariable(coalescePrefix, subgraph)] ?? env.COALESCE) === true,
    corsOrigins: env.CORS_ORIGINS,
    subgraphUrls: new Map(
      urlVariables.flatMap((name) => {
        const url = ofSubgraphs[name];
        return typeof url === 'string' ? [[name, url] as const] : [];
      }),
    ),
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
