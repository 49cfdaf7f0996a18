import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import pg from 'pg';

/**
 * Returns Prisma's schema engine, compiled to WebAssembly, on a PostgreSQL. It is never freed: its last tasks
 * end after its promises and would use freed memory.
 * @param {string} url
 * @param {readonly [string, string][]} [datamodels] path and content of each Prisma schema
 */
export const connectEngine = async (url, datamodels = []) => {
  const { SchemaEngine } = await (loading ??= load());
  const factory = bindMigrationAwareSqlAdapterFactory(adapterFactory(url));
  // It takes its dialect from the schema.
  const schemas = datamodels.length > 0 ? datamodels : [['schema.prisma', postgresql]];
  return SchemaEngine.new({ datamodels: schemas }, () => undefined, factory);
};

const postgresql = 'datasource db {\n  provider = "postgresql"\n}\n';

/** The bindings are loaded once per process: a second instance would replace those of the first. */
let loading;

/** The package's own entry imports its `.wasm` as a module, which Node 20 cannot do. */
const load = async () => {
  const bindings = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const path = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const { instance } = await WebAssembly.instantiate(await readFile(path.replace(/\.js$/, '.wasm')), {
    './schema_engine_bg.js': withoutHoldingTheProcess(bindings),
  });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  globalThis.PRISMA_WASM_PANIC_REGISTRY = {
    set_message: (message) => {
      throw new Error(`Prisma's schema engine failed: ${message}`);
    },
  };
  return bindings;
};

/** The engine never clears its timer of ten seconds, which would keep the process alive. */
const withoutHoldingTheProcess = (bindings) =>
  Object.fromEntries(
    Object.entries(bindings).map(([name, value]) => [
      name,
      name.startsWith('__wbg_setTimeout_') ? (callback, ms) => setTimeout(callback, ms).unref() : value,
    ]),
  );

/**
 * Returns Prisma's adapter for `pg`, extended by PostgreSQL's internal type "char". The engine reads columns
 * of that type in the system catalogs whenever it describes a database, and the adapter refuses them.
 */
const adapterFactory = (url) => {
  const charColumns = new WeakMap();
  const pool = new pg.Pool({ connectionString: url, idleTimeoutMillis: 1 });
  const query = pool.query.bind(pool);
  pool.query = async (...args) => {
    const result = await query(...args);
    const fields = (result.fields ?? []).filter(({ dataTypeID }) => dataTypeID === pg.types.builtins.CHAR);
    if (fields.length === 0) return result;
    charColumns.set(
      result.rows,
      fields.map((field) => result.fields.indexOf(field)),
    );
    for (const field of fields) field.dataTypeID = pg.types.builtins.TEXT;
    return result;
  };
  const factory = new PrismaPg(pool, { disposeExternalPool: true });
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    const adapter = await connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    adapter.queryRaw = async (statement) => {
      const result = await queryRaw(statement);
      for (const column of charColumns.get(result.rows) ?? []) {
        result.columnTypes[column] = ColumnTypeEnum.Character;
        // The type holds one byte; "pg" reads the byte 0 as an empty text.
        for (const row of result.rows) if (row[column] === '') row[column] = '\0';
      }
      return result;
    };
    return adapter;
  };
  return factory;
};
