import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { MigrationSet } from '@cinegraph/database/migrate';

/** Prisma's migrations of a subgraph. */
export const prismaMigrations = (subgraph: 'metadata' | 'rating'): MigrationSet => ({
  migrations: new URL(`../../../../prisma/${subgraph}/migrations/`, import.meta.url),
});

/** The migration that moves parked events to a table of their own. */
export const parkedTable = '20261128150000_outbox_parked';

/**
 * Copies the migrations of a set whose names sort before `name` to a temporary folder: they make a database
 * as it was before that migration existed. `remove` deletes the folder.
 */
export const migrationsBefore = async (
  { migrations, ...rest }: MigrationSet,
  name: string,
): Promise<{ readonly set: MigrationSet; remove(): Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  const source = fileURLToPath(migrations);
  await cp(source, folder, {
    recursive: true,
    filter: (path) => {
      const [migration = ''] = path.slice(source.length).split('/');
      return !/^\d/.test(migration) || migration < name;
    },
  });
  return {
    set: { ...rest, migrations: pathToFileURL(`${folder}/`) },
    remove: () => rm(folder, { recursive: true }),
  };
};
