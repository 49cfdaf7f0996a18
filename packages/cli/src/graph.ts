import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnv, serviceVariables, subgraphKeyVariable, subgraphVariable } from '@cinegraph/service/env';
import { openSecrets } from '@cinegraph/local/secrets';
import { z } from 'zod';
import { readSupergraphYaml } from './supergraph-yaml.js';

/** The clone that this command line belongs to. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A subgraph that lives in this clone, with the names that follow from its own. */
export interface LocalSubgraph {
  readonly name: string;
  readonly folder: string;
  /** Its compiled entry. */
  readonly main: string;
  readonly databaseVariable: string;
  readonly urlVariable: string;
}

/** The subgraphs of supergraph.yaml that have a build in this clone; others run elsewhere, at their routing_url. */
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

/** The subgraphs of supergraph.yaml that this composed supergraph does not know; none where it cannot be read. */
export const readUncomposed = async (supergraphPath: string): Promise<readonly string[]> => {
  const sdl = await readFile(supergraphPath, 'utf8').catch(() => undefined);
  if (sdl === undefined) return [];
  const composed = new Set([...sdl.matchAll(/@join__graph\(name: "([^"]+)"/g)].map(([, name]) => name));
  const { subgraphs } = readSupergraphYaml(join(root, 'supergraph.yaml'), process.env);
  return subgraphs.map(({ name }) => name).filter((name) => !composed.has(name));
};

/** The supergraph that `npm run compose` writes. */
export const ownSupergraph = join(root, 'gateway', 'supergraph.graphql');

/** What the command line itself reads of the environment; services inherit all of it. */
export const readCliEnv = (subgraphs: readonly LocalSubgraph[]) => {
  const databases = [...subgraphs, events].map(({ databaseVariable }) => databaseVariable);
  const { NODE_ENV, LOG_LEVEL, SUPERGRAPH_PATH, SUBGRAPH_KEY, KAFKA_BROKERS, ...urls } = readEnv(
    {
      NODE_ENV: serviceVariables.NODE_ENV.default('development'),
      LOG_LEVEL: serviceVariables.LOG_LEVEL.default('warn'),
      SUPERGRAPH_PATH: z.string().default(ownSupergraph),
      SUBGRAPH_KEY: subgraphKeyVariable.optional(),
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
    /** The databases that are needed besides those of subgraphs: the log, where no Kafka takes its place. */
    furtherDatabases: KAFKA_BROKERS === undefined ? [events] : [],
    /** Databases of the person's own, by variable. */
    databaseUrls: urls as Readonly<Record<string, string | undefined>>,
    inherited: process.env,
  };
};

/** The log in PostgreSQL, which each service of ours has for a broker where there is no Kafka. */
const events = { name: 'events', databaseVariable: subgraphVariable('DATABASE_URL_', 'events') };

/** The secret that the services of this graph share: the person's own, or one that is made and kept in the data folder. */
export const readSubgraphKey = ({ SUBGRAPH_KEY }: CliEnv, data: string): Promise<string> =>
  SUBGRAPH_KEY === undefined
    ? openSecrets(join(data, 'secrets.json')).get('subgraphs')
    : Promise.resolve(SUBGRAPH_KEY);

/** What {@link readCliEnv} answers. */
export type CliEnv = ReturnType<typeof readCliEnv>;

/**
 * The environment of a process that we start: what this one inherited, and `own`. Addresses of databases are left out,
 * so that each process gets only its own.
 */
export const environmentOf = (
  { inherited }: CliEnv,
  own: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> => ({
  ...Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('DATABASE_URL_'))),
  ...own,
});

/** The databases of one subgraph's process, by variable: its own, and the log where that is the broker. */
export const databasesOf = (
  { databaseVariable }: LocalSubgraph,
  urls: Readonly<Record<string, string>>,
): Readonly<Record<string, string | undefined>> => ({
  [databaseVariable]: urls[databaseVariable],
  [events.databaseVariable]: urls[events.databaseVariable],
});

/** Whether there is a file or folder. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
