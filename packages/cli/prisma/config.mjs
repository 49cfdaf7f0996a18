import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { subgraphVariable } from '@cinegraph/service/env';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Returns the configuration of Prisma's command line for the database of a subgraph: the one that
 * `DATABASE_URL_<NAME>` names, or the one of a running `npm start`. Throws an error that says what to do if
 * there is neither. Commands then use the schema engine of this folder, which needs no download.
 * @param {string} name
 */
export const prismaConfig = async (name) => {
  process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= join(root, 'packages/cli/prisma/schema-engine.mjs');
  return {
    schema: join(root, 'prisma', name, 'schema.prisma'),
    migrations: { path: join(root, 'prisma', name, 'migrations') },
    datasource: { url: await databaseUrl(name) },
  };
};

const databaseUrl = async (name) => {
  const variable = subgraphVariable('DATABASE_URL_', name);
  const url = process.env[variable];
  if (url) return url;
  const server = await findEmbeddedPostgres(join(root, '.data'));
  if (server) return server.ensureDatabase(name);
  throw new Error(
    `The database of ${name} is not running. Start it with "npm start" in another terminal, or set ${variable}.`,
  );
};
