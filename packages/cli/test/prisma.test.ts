import { afterEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MigrationSet } from '@cinegraph/database/migrate';
import { subgraphVariable } from '@cinegraph/service/env';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const subgraphs = readdirSync(join(root, 'prisma'));

describe("Prisma's command line with the configuration of a subgraph", () => {
  let database: TestDatabase | undefined;
  afterEach(async () => {
    await database?.drop();
    database = undefined;
  });

  /** Runs `npx prisma` on a database that our migrator has migrated as at the start of the subgraph. */
  const prisma = async (name: string, ...args: readonly string[]) => {
    if (!database) {
      const { migrations } = (await import(`../../../subgraphs/${name}/src/migrations.js`)) as {
        readonly migrations: readonly MigrationSet[];
      };
      database = await testDatabase({ name, migrations });
    }
    return runPrisma(name, database.url, args);
  };
  const diff = (schemaPath: string) =>
    ['migrate', 'diff', '--from-config-datasource', '--to-schema', schemaPath, '--exit-code'] as const;

  it.each(subgraphs)('says that the migrated database of %s is up to date', async (name) => {
    const { code, output } = await prisma(name, 'migrate', 'status');
    expect(output).toContain('Database schema is up to date!');
    expect(code).toBe(0);
  });

  it.each(subgraphs)(
    'finds no difference between the migrated database of %s and its schema',
    async (name) => {
      const { code, output } = await prisma(name, ...diff(join(root, 'prisma', name, 'schema.prisma')));
      expect(output).toContain('No difference detected.');
      expect(code).toBe(0);
    },
  );

  it('names a column that is missing, or has another type, null or default', async () => {
    const schema = await readFile(join(root, 'prisma/rating/schema.prisma'), 'utf8');
    const folder = await mkdtemp(join(tmpdir(), 'schema-'));
    const changed = join(folder, 'schema.prisma');
    await writeFile(
      changed,
      schema
        .replace(/^ {2}review .*$/m, '  review String @default("")\n  language String?')
        .replace(/^ {2}provider +String\?\n/m, '')
        .replace(/^ {2}score .*$/m, '  score BigInt?')
        .replace(/^ {2}version( +)BigInt +@default\(1\)$/m, '  version BigInt @default(2)'),
    );
    const { code, output } = await prisma('rating', ...diff(changed), '--script');
    await rm(folder, { recursive: true });
    expect(code).toBe(2);
    expect(/ALTER TABLE[^;]*/.exec(output)?.[0].split(/,\n/)).toEqual([
      'ALTER TABLE "rating" DROP COLUMN "provider"',
      'ADD COLUMN     "language" TEXT',
      'ALTER COLUMN "score" SET DATA TYPE BIGINT',
      'ALTER COLUMN "review" SET NOT NULL',
      'ALTER COLUMN "review" SET DEFAULT \'\'',
      'ALTER COLUMN "version" SET DEFAULT 2',
    ]);
  });

  it.each([
    ['status', ['migrate', 'status']],
    ['diff', diff(join(root, 'prisma/rating/schema.prisma'))],
  ])('fails and says why if the database does not answer migrate %s', async (_, args) => {
    const { code, output } = await runPrisma('rating', 'postgresql://u:p@127.0.0.1:1/rating', args);
    expect(output).toMatch(/P1001: The database does not answer|Can't reach database server/);
    expect(code).toBe(1);
  });
});

const runPrisma = (name: string, url: string, args: readonly string[]) =>
  new Promise<{ code: number; output: string }>((resolve) => {
    const cli = join(root, 'node_modules/prisma/build/index.js');
    const config = join(root, 'prisma', name, 'prisma.config.ts');
    const env = {
      ...process.env,
      ...{ [subgraphVariable('DATABASE_URL_', name)]: url, NODE_OPTIONS: '', CHECKPOINT_DISABLE: '1' },
    };
    const child = execFile(
      process.execPath,
      [cli, ...args, '--config', config],
      { cwd: root, env },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
