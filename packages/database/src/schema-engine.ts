import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { SchemaEngine } from '@prisma/schema-engine-wasm';

/** What of WebAssembly is used; Node's types for version 20 do not declare it. */
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
 * Prisma's schema engine for PostgreSQL, compiled to WebAssembly: nothing is downloaded. `adapter` is a bound,
 * migration-aware driver adapter. It is never freed by hand: its last tasks end after its promises and would meet freed
 * memory.
 */
export const newSchemaEngine = async (adapter: object): Promise<SchemaEngine> => {
  const bindings = await (loading ??= load());
  return bindings.SchemaEngine.new(
    { datamodels: [['schema.prisma', 'datasource db {\n  provider = "postgresql"\n}\n']] },
    () => undefined,
    adapter,
  );
};

/** Once per process: a second instance would take the bindings away from the first. */
let loading: Promise<Bindings> | undefined;

/** The package's own entry imports its `.wasm` as a module, which Node 20 cannot; this does what that entry does. */
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

/** The engine never clears its timer of ten seconds, which would keep each process that migrated alive so long. */
const withoutHoldingTheProcess = (bindings: Bindings): object =>
  Object.fromEntries(
    Object.entries(bindings).map(([name, value]) => [
      name,
      name.startsWith('__wbg_setTimeout_')
        ? (callback: () => void, ms: number) => setTimeout(callback, ms).unref()
        : value,
    ]),
  );
