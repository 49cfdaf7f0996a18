// Writes the generated code of a workspace; its package script "generate" runs this file in its folder.
//
// In a subgraph:
//
//   prisma/<name>/schema.prisma  ->  src/generated/prisma/       (the Prisma client)
//   schema.graphql               ->  src/generated/resolvers.ts  (the types of every resolver)
//
// In a client, which has src/operations.graphql and no schema:
//
//   src/operations.graphql       ->  src/generated/operations.ts
//                                    (types and typed documents, checked against gateway/supergraph.graphql)
//
// A client's src/scalars.ts exports `ScalarTypes`.
//
// The resolver types follow three conventions:
//   src/context.ts  exports `Context`;
//   src/models.ts   exports `<Type>Model`, the parent that the resolvers of the GraphQL type <Type> get;
//   src/models.ts   exports `ScalarTypes`, an interface with the TypeScript type of every custom scalar.
//
// It is plain JavaScript, because it runs before anything is compiled. It writes a file only if its content
// changes.

import { codegen } from '@graphql-codegen/core';
import * as typedDocumentPlugin from '@graphql-codegen/typed-document-node';
import * as typescriptPlugin from '@graphql-codegen/typescript';
import * as operationsPlugin from '@graphql-codegen/typescript-operations';
import * as resolversPlugin from '@graphql-codegen/typescript-resolvers';
import { parseSync } from '@swc/core';
import { Source, isScalarType, isSpecifiedScalarType, parse, printSchema, validate } from 'graphql';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';

const require = createRequire(import.meta.url);
const folder = process.cwd();
const root = resolve(import.meta.dirname, '../..');
const name = basename(folder);
const generated = join(folder, 'src/generated');

try {
  const operations = join(folder, 'src/operations.graphql');
  if (existsSync(operations)) await generateOperationTypes(operations);
  else {
    generatePrismaClient(join(root, 'prisma', name, 'schema.prisma'));
    await generateResolverTypes(join(folder, 'schema.graphql'));
  }
} catch (error) {
  console.error(`Cannot generate the code of ${name}: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/** Generates the Prisma client, unless it comes from this very schema and version of Prisma. */
function generatePrismaClient(schemaPath) {
  if (!existsSync(schemaPath)) {
    console.log(`${name} has no ${relative(root, schemaPath)}: no Prisma client`);
    return;
  }
  const cli = require.resolve('prisma/build/index.js');
  const { version } = require('prisma/package.json');
  const stampPath = join(generated, 'prisma.sha256');
  const stamp = createHash('sha256').update(`${version}\n`).update(readFileSync(schemaPath)).digest('hex');
  const isFresh = existsSync(join(generated, 'prisma/client.ts')) && read(stampPath) === stamp;
  if (isFresh) return;

  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    [cli, 'generate', '--schema', schemaPath, '--no-hints'],
    {
      cwd: folder,
      encoding: 'utf8',
      env: {
        ...process.env,
        // `prisma generate` does not run the schema engine; the name of any executable keeps it from
        // downloading one.
        PRISMA_SCHEMA_ENGINE_BINARY: process.env.PRISMA_SCHEMA_ENGINE_BINARY ?? process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      },
    },
  );
  if (error) throw error;
  if (status !== 0) throw new Error(`prisma generate failed\n${stdout}${stderr}`);
  if (!existsSync(join(generated, 'prisma/client.ts'))) {
    throw new Error(
      `${relative(root, schemaPath)} does not write its client to subgraphs/${name}/src/generated/prisma: set "output" of its generator to that folder`,
    );
  }
  write(stampPath, stamp);
}

/** Generates the types of resolvers, including federation's `__resolveReference`. */
async function generateResolverTypes(schemaPath) {
  if (!existsSync(schemaPath)) throw new Error(`it has no ${relative(root, schemaPath)}`);
  const schema = parse(readFileSync(schemaPath, 'utf8'));
  const modelsPath = join(folder, 'src/models.ts');
  const { models, scalarTypes } = readModels(modelsPath);

  const declared = new Set();
  // _FieldSet is a scalar in the arguments of federation's directives.
  const scalars = { ID: { input: 'string', output: 'string' }, _FieldSet: 'string' };
  const missing = [];
  for (const definition of schema.definitions) {
    if (!('name' in definition) || !definition.name) continue;
    declared.add(definition.name.value);
    if (definition.kind !== 'ScalarTypeDefinition') continue;
    const scalar = definition.name.value;
    if (!scalarTypes.has(scalar)) missing.push(scalar);
    scalars[scalar] = { input: `ScalarTypes['${scalar}']`, output: `ScalarTypes['${scalar}']` };
  }
  if (missing.length > 0) {
    throw new Error(
      `src/models.ts has no TypeScript type for the scalar ${missing.join(', ')}: add it to "export interface ScalarTypes"`,
    );
  }

  const mappers = Object.fromEntries(
    models
      .map((model) => [model.slice(0, -'Model'.length), `../models.js#${model}`])
      .filter(([type]) => declared.has(type)),
  );
  const content = await codegen({
    filename: 'resolvers.ts',
    schema,
    documents: [],
    plugins: [{ typescript: {} }, { resolvers: {} }],
    pluginMap: { typescript: typescriptPlugin, resolvers: resolversPlugin },
    config: {
      federation: true,
      strictScalars: true,
      scalars,
      mappers,
      contextType: '../context.js#Context',
      defaultScalarType: 'unknown',
      enumsAsTypes: true,
      immutableTypes: true,
      makeResolverTypeCallable: true,
      useTypeImports: true,
      emitLegacyCommonJSImports: false,
    },
  });
  const importsScalars = scalarTypes.size > 0 && content.includes('ScalarTypes[');
  write(
    join(generated, 'resolvers.ts'),
    [
      `// Generated from schema.graphql by "npm run generate"; do not edit.`,
      ...(importsScalars ? [`import type { ScalarTypes } from '../models.js';`] : []),
      requireResolvers(withoutAny(content), schema, mappers),
    ].join('\n'),
  );
}

/**
 * Makes the compiler name each field that nothing resolves. The plug-in declares every resolver as optional;
 * here those are required whose field is neither a property of the model nor provided by another subgraph. A
 * type without a model needs none: its parents return it with all fields.
 */
function requireResolvers(content, schema, mappers) {
  const externals = new Map();
  for (const definition of schema.definitions) {
    if (!/^ObjectType(Definition|Extension)$/.test(definition.kind)) continue;
    const type = definition.name.value;
    const isRoot = ['Query', 'Mutation', 'Subscription'].includes(type);
    if (!isRoot && !(type in mappers)) continue;
    const names = (definition.fields ?? [])
      .filter(({ directives }) => directives.some(({ name: { value } }) => value === 'external'))
      .map(({ name: { value } }) => `'${value}'`);
    externals.set(type, [...(externals.get(type) ?? []), ...names]);
  }
  const strict = content
    .replace(/^export type (\w+)Resolvers<(.*)> = \{$/gm, (line, type, parameters) => {
      if (!externals.has(type)) return line;
      const resolved = [
        ...(type in mappers ? [`keyof ${type}Model`] : []),
        ...externals.get(type),
        '`__${string}`',
      ];
      const optional = `${type}OptionalResolvers<ContextType, ParentType>`;
      return [
        `export type ${type}Resolvers<${parameters}> =`,
        `  ${optional} & Required<Pick<${optional}, Exclude<keyof ${optional}, ${resolved.join(' | ')}>>>;`,
        `type ${type}OptionalResolvers<${parameters}> = {`,
      ].join('\n');
    })
    .replace('export type Resolvers<', 'type OptionalResolvers<');
  return `${strict}
/** The resolvers of all types. A type that has required resolvers is itself required. */
export type Resolvers = OptionalResolvers & {
  [Type in keyof OptionalResolvers as {} extends NonNullable<OptionalResolvers[Type]> ? never : Type]-?: OptionalResolvers[Type];
};
`;
}

/**
 * Generates the types of a client's operations, after validating them against the schema that clients see.
 */
async function generateOperationTypes(path) {
  // Imported here, because only a client needs it.
  const { Supergraph } = await import('@apollo/federation-internals');
  const supergraphPath = join(root, 'gateway/supergraph.graphql');
  const schema = Supergraph.build(readFileSync(supergraphPath, 'utf8'), { supportedFeatures: null })
    .apiSchema()
    .toGraphQLJSSchema();
  const document = parse(new Source(readFileSync(path, 'utf8'), relative(root, path)));
  const faults = validate(schema, document).map(({ message, locations, source }) => {
    const [{ line, column } = {}] = locations ?? [];
    return `${source?.name}:${line}:${column}  ${message}`;
  });
  if (faults.length > 0) throw new Error(`its operations are not valid\n  ${faults.join('\n  ')}`);

  const { scalarTypes } = readModels(join(folder, 'src/scalars.ts'));
  const scalars = { ID: { input: 'string', output: 'string' } };
  for (const { name: scalar } of Object.values(schema.getTypeMap()).filter(
    (type) => isScalarType(type) && !isSpecifiedScalarType(type),
  )) {
    if (!scalarTypes.has(scalar))
      throw new Error(
        `src/scalars.ts has no TypeScript type for the scalar ${scalar}: add it to "export interface ScalarTypes"`,
      );
    scalars[scalar] = { input: `ScalarTypes['${scalar}']`, output: `ScalarTypes['${scalar}']` };
  }
  const content = await codegen({
    filename: 'operations.ts',
    schema: parse(printSchema(schema)),
    documents: [{ location: path, document }],
    plugins: [{ typescript: {} }, { operations: {} }, { typedDocument: {} }],
    pluginMap: {
      typescript: typescriptPlugin,
      operations: operationsPlugin,
      typedDocument: typedDocumentPlugin,
    },
    config: {
      strictScalars: true,
      scalars,
      enumsAsTypes: true,
      immutableTypes: true,
      // The typed document of graphql itself, so that a client needs no further package.
      documentNodeImport: 'graphql#TypedQueryDocumentNode',
      skipTypename: true,
      avoidOptionals: { field: true },
      useTypeImports: true,
      emitLegacyCommonJSImports: false,
    },
  });
  write(
    join(generated, 'operations.ts'),
    [
      `// Generated from operations.graphql by "npm run generate"; do not edit.`,
      `import type { ScalarTypes } from '../scalars.js';`,
      withoutAny(content),
    ].join('\n'),
  );
}

/** Returns the names that src/models.ts exports according to the conventions above. */
function readModels(path) {
  const models = [];
  const scalarTypes = new Set();
  if (!existsSync(path)) return { models, scalarTypes };
  for (const { type, declaration } of parseSync(readFileSync(path, 'utf8'), { syntax: 'typescript' }).body) {
    if (type !== 'ExportDeclaration') continue;
    const isInterface = declaration.type === 'TsInterfaceDeclaration';
    if (!isInterface && declaration.type !== 'TsTypeAliasDeclaration') continue;
    const exported = declaration.id.value;
    if (exported.endsWith('Model') && exported !== 'Model') models.push(exported);
    if (exported !== 'ScalarTypes') continue;
    const members = isInterface ? declaration.body.body : declaration.typeAnnotation.members;
    for (const { key } of members ?? []) if (key) scalarTypes.add(key.value);
  }
  return { models: models.sort(), scalarTypes };
}

/** Replaces `any`, which the plug-ins write into types that we do not use, by `unknown`. */
function withoutAny(content) {
  return content
    .split('\n')
    .map((line) =>
      /^\s*(\*|\/\*\*)/.test(line) ? line : line.replace(/(?<=[<,:] *)any(?=[,>[\]])/g, 'unknown'),
    )
    .join('\n');
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function write(path, content) {
  if (read(path) === content) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
