import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { DiagnoseMigrationHistoryOutput, MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm';

/** The part of WebAssembly that is used here; Node's types for version 20 do not declare it. */
declare const WebAssembly: {
  instantiate(
    bytes: Uint8Array,
    imports: Readonly<Record<string, object>>,
  ): Promise<{ readonly instance: { readonly exports: Readonly<Record<string, unknown>> } }>;
};

interface Bindings {
  readonly SchemaEngine: typeof SchemaEngine;
  readonly __wbg_set_wasm: (exports: object) => void;
}

/**
 * Applies a migrations folder with Prisma's schema engine, as `prisma migrate deploy` does; returns the
 * names.
 */
export const migrateWithPrisma = async (url: string, folder: string): Promise<string[]> => {
  const engine = await connect(url);
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
  const engine = await connect(url);
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

/** The engine is never freed: its last tasks end after its promises and would use freed memory. */
const connect = async (url: string): Promise<SchemaEngine> => {
  const bindings = await (loading ??= load());
  return bindings.SchemaEngine.new(
    { datamodels: [['schema.prisma', 'datasource db {\n  provider = "postgresql"\n}\n']] },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url, idleTimeoutMillis: 1 })),
  );
};

/** The bindings are loaded once per process: a second instance would take them away from the first. */
let loading: Promise<Bindings> | undefined;

/** The package's own entry imports its `.wasm` as a module, which Node 20 cannot do. */
const load = async (): Promise<Bindings> => {
  const bindings = (await import('@prisma/schema-engine-wasm/schema_engine_bg')) as unknown as Bindings;
  const path = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const { instance } = await WebAssembly.instantiate(await readFile(path.replace(/\.js$/, '.wasm')), {
    './schema_engine_bg.js': withoutHoldingTheProcess(bindings),
  });
  bindings.__wbg_set_wasm(instance.exports);
  (instance.exports['__wbindgen_start'] as () => void)();
  return bindings;
};

/** The engine never clears its timer of ten seconds, which would keep the test process alive. */
const withoutHoldingTheProcess = (bindings: Bindings): object =>
  Object.fromEntries(
    Object.entries(bindings).map(([name, value]) => [
      name,
      name.startsWith('__wbg_setTimeout_')
        ? (callback: () => void, ms: number) => setTimeout(callback, ms).unref()
        : value,
    ]),
  );
