import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiagnoseMigrationHistoryOutput, MigrationList } from '@prisma/schema-engine-wasm';
import { connectEngine } from '../../cli/prisma/wasm-engine.mjs';

/**
 * Applies a migrations folder with Prisma's schema engine, as `prisma migrate deploy` does; returns the
 * names.
 */
export const migrateWithPrisma = async (url: string, folder: string): Promise<string[]> => {
  const engine = await connectEngine(url);
  const { appliedMigrationNames } = await engine.applyMigrations({
    migrationsList: await migrationList(folder),
    filters: noFilters,
  });
  return appliedMigrationNames;
};

/**
 * Compares a database with a migrations folder by Prisma's schema engine, as `prisma migrate status` does.
 */
export const diagnoseWithPrisma = async (
  url: string,
  folder: string,
): Promise<DiagnoseMigrationHistoryOutput> => {
  const engine = await connectEngine(url);
  return engine.diagnoseMigrationHistory({
    migrationsList: await migrationList(folder),
    optInToShadowDatabase: false,
    filters: noFilters,
  });
};

const noFilters = { externalTables: [], externalEnums: [] };

const migrationList = async (folder: string): Promise<MigrationList> => {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return {
    baseDir: folder,
    lockfile: {
      path: 'migration_lock.toml',
      content: await readFile(join(folder, 'migration_lock.toml'), 'utf8'),
    },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.sort().map(async (name) => ({
        path: name,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok' as const, value: await readFile(join(folder, name, 'migration.sql'), 'utf8') },
        },
      })),
    ),
  };
};
