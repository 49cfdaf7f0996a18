import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnv, serviceVariables, subgraphKeyVariable, subgraphVariable } from '@cinegraph/service/env';
import { exists } from '@cinegraph/local/exists';
import { openSecrets } from '@cinegraph/local/secrets';
import { z } from 'zod';
import { readSupergraphYaml } from './supergraph-yaml.js';

/** The root folder of the clone to which this command line belongs. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A subgraph of this clone, with the names that follow from its own name. */
export interface LocalSubgraph {
  readonly name: string;
  readonly folder: string;
  /** The path of its compiled entry. */
  readonly main: string;
  readonly databaseVariable: string;
  readonly urlVariable: string;
}

/**
 * Returns the subgraphs of supergraph.yaml that have a build in this clone. The others run elsewhere, at
 * their routing_url.
 */
export const readLocalSubgraphs = async (): Promise<readonly LocalSubgraph[]> => {
  const { subgraphs } = readSupergraphYaml(join(root, 'supergraph.yaml'), process.env);
  const local: LocalSubgraph[] = [];
  for (const { name, schemaPath } of subgraphs) {
    if (schemaPath === undefined) continue;
    const folder = dirname(schemaPath);
    const main = join(folder, 'dist', 'main.js');
    if (!(await exists(main))) continue;
    local.push({
      name,
      folder,
      main,
      databaseVariable: subgraphVariable('DATABASE_URL_', name),
      urlVariable: subgraphVariable('SUBGRAPH_URL_', name),
    });
  }
  return local;
};

/**
 * Returns the subgraphs of supergraph.yaml that this composed supergraph lacks; none if it cannot be read.
 */
export const readUncomposed = async (supergraphPath: string): Promise<readonly string[]> => {
  const sdl = await readFile(supergraphPath, 'utf8').catch(() => undefined);
  if (sdl === undefined) return [];
  const composed = new Set([...sdl.matchAll(/@join__graph\(name: "([^"]+)"/g)].map(([, name]) => name));
  const { subgraphs } = readSupergraphYaml(join(root, 'supergraph.yaml'), process.env);
  return subgraphs.map(({ name }) => name).filter((name) => !composed.has(name));
};

/** The supergraph file that `npm run compose` writes. */
export const composedSupergraph = join(root, 'gateway', 'supergraph.graphql');

/** How often a client may select fields of our subgraphs each minute: each of them tries a password. */
const fieldBudgets = 'Mutation.login=10,Mutation.register=5';

/** Reads the variables that the command line itself needs. Services inherit the whole environment. */
export const readCliEnv = (subgraphs: readonly LocalSubgraph[]) => {
  const databases = [...subgraphs, events].map(({ databaseVariable }) => databaseVariable);
  const { NODE_ENV, LOG_LEVEL, SUPERGRAPH_PATH, SUBGRAPH_KEY, BUDGET_FIELDS, KAFKA_BROKERS, ...urls } =
    readEnv(
      {
        NODE_ENV: serviceVariables.NODE_ENV.default('development'),
        LOG_LEVEL: serviceVariables.LOG_LEVEL.default('warn'),
        SUPERGRAPH_PATH: z.string().default(composedSupergraph),
        SUBGRAPH_KEY: subgraphKeyVariable.optional(),
        BUDGET_FIELDS: z.string().default(fieldBudgets),
        KAFKA_BROKERS: z.string().optional(),
        ...Object.fromEntries(databases.map((name) => [name, z.string().optional()])),
      },
      process.env,
    );
  return {
    NODE_ENV,
    LOG_LEVEL,
    SUPERGRAPH_PATH,
    SUBGRAPH_KEY,
    BUDGET_FIELDS,
    /** The databases needed besides those of subgraphs: the event log, unless Kafka is the broker. */
    furtherDatabases: KAFKA_BROKERS === undefined ? [events] : [],
    /** The URLs of databases that the environment names, by variable. */
    databaseUrls: urls as Readonly<Record<string, string | undefined>>,
    inherited: process.env,
  };
};

/** The event log in PostgreSQL, which is the broker of every service if there is no Kafka. */
const events = { name: 'events', databaseVariable: subgraphVariable('DATABASE_URL_', 'events') };

/**
 * Returns the key that the services of this graph share: `SUBGRAPH_KEY`, or one that is kept in the data
 * folder.
 */
export const readSubgraphKey = ({ SUBGRAPH_KEY }: CliEnv, data: string): Promise<string> =>
  SUBGRAPH_KEY === undefined
    ? openSecrets(join(data, 'secrets.json')).get('subgraphs')
    : Promise.resolve(SUBGRAPH_KEY);

/** What {@link readCliEnv} returns. */
export type CliEnv = ReturnType<typeof readCliEnv>;

/**
 * Returns the environment of a process that we start: the inherited one with `variables`. Addresses of
 * databases are left out, so that each process gets only those of its own databases.
 */
export const environmentOf = (
  { inherited }: CliEnv,
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> => ({
  ...Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('DATABASE_URL_'))),
  ...variables,
});

/**
 * Returns the databases of one subgraph's process, by variable: its own, and the event log if that is the
 * broker.
 */
export const databasesOf = (
  { databaseVariable }: LocalSubgraph,
  urls: Readonly<Record<string, string>>,
): Readonly<Record<string, string | undefined>> => ({
  [databaseVariable]: urls[databaseVariable],
  [events.databaseVariable]: urls[events.databaseVariable],
});
