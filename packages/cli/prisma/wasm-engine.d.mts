import type { SchemaEngine } from '@prisma/schema-engine-wasm';

export const connectEngine: (
  url: string,
  datamodels?: readonly (readonly [path: string, content: string])[],
) => Promise<SchemaEngine>;
