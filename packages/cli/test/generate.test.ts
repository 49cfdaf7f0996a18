import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('the generated types of resolvers', () => {
  let folder: string;

  beforeEach(async () => {
    // Below node_modules, so that the generated code finds the types of graphql.
    const cache = join(root, 'node_modules', '.cache', 'cinegraph');
    await mkdir(cache, { recursive: true });
    folder = await mkdtemp(join(cache, 'generate-'));
    await mkdir(join(folder, 'src'));
    await writeFile(
      join(folder, 'schema.graphql'),
      `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@external", "@requires"])
       type Query { films: [Film!]! }
       type Film @key(fields: "id") {
         id: ID!
         year: Int @external
         decade: Int @requires(fields: "year")
         title: String!
         tagline: String
         awards: [Award!]!
       }
       type Award { name: String! }`,
    );
    const files = {
      'src/context.ts': `export interface Context { readonly now: Date }\n`,
      'src/models.ts': `interface Named { readonly title: string }
        export interface FilmModel extends Named { readonly id: string }\n`,
    };
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'packages/cli/generate.mjs')], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Returns the errors of the compiler for these resolvers. */
  const check = async (resolvers: string): Promise<string> => {
    const file = join(folder, 'src', 'index.ts');
    await writeFile(
      file,
      `import type { FilmResolvers, QueryResolvers, Resolvers } from './generated/resolvers.js';\n${resolvers}`,
    );
    const program = ts.createProgram([file], {
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2023,
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: [] },
    });
    return ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
      .join('\n');
  };

  it('the compiler accepts resolvers of all fields that the model lacks and this subgraph owns', async () => {
    expect(
      await check(`const Query: QueryResolvers = { films: () => [] };
        const Film: FilmResolvers = { decade: () => null, tagline: () => null, awards: () => [{ name: 'a' }] };
        export const resolvers: Resolvers = { Query, Film };`),
    ).toBe('');
  });

  it('the compiler names a field that has neither a resolver nor a property of the model', async () => {
    const errors = await check(`const Query: QueryResolvers = {};
      const Film: FilmResolvers = { decade: () => null, awards: () => [] };
      export const resolvers: Resolvers = { Query, Film };`);
    expect(errors).toMatch(/Property 'films' is missing/);
    expect(errors).toMatch(/Property 'tagline' is missing/);
    expect(errors).not.toMatch(/Property '(id|title|year)' is missing/);
  });

  it('the compiler names a type whose resolvers are missing altogether', async () => {
    const errors = await check(`export const resolvers: Resolvers = { Query: { films: () => [] } };`);
    expect(errors).toMatch(/Property 'Film' is missing/);
  });
});
