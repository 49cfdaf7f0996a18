import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import pg from 'pg';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const schemaPath = (name: string) => join(root, 'prisma', name, 'schema.prisma');
const subgraphs = readdirSync(join(root, 'prisma')).map((name) => ({ name }));

/** PostgreSQL's types for the scalar types of Prisma, unless an attribute `@db` names another. */
const scalarTypes: Readonly<Record<string, string>> = {
  ...{ String: 'text', Int: 'integer', BigInt: 'bigint', Float: 'double precision', Boolean: 'boolean' },
  ...{ DateTime: 'timestamp without time zone', Decimal: 'numeric', Json: 'jsonb', Bytes: 'bytea' },
};
const namedTypes: Readonly<Record<string, string>> = {
  ...{ SmallInt: 'smallint', Timestamptz: 'timestamp with time zone', Date: 'date', Uuid: 'uuid' },
  ...{ Decimal: 'numeric', Char: 'character', VarChar: 'character varying', Real: 'real' },
};

/** Returns the columns that the models of a Prisma schema describe, by table. */
const columnsOfSchema = (text: string): Record<string, string[]> => {
  const models = [...text.matchAll(/^model (\w+) \{$([^]*?)^\}$/gm)];
  const names = new Set(models.map(([, name]) => name));
  return Object.fromEntries(
    models.map(([, model = '', body = '']) => [
      /@@map\("(\w+)"\)/.exec(body)?.[1] ?? model,
      [...body.matchAll(/^ {2}(\w+) +(?:(\w+)|Unsupported\("[^"]+"\))(\[\])?(\?)?(.*)$/gm)]
        .filter(([, , type]) => !names.has(type))
        .map(([, field = '', type = '', list, optional, attributes = '']) => {
          const column = /@map\("(\w+)"\)/.exec(attributes)?.[1] ?? field;
          const named = /@db\.(\w+)/.exec(attributes)?.[1] ?? '';
          const known = namedTypes[named] ?? scalarTypes[type];
          const shown = list ? 'ARRAY' : (known ?? 'other');
          return `${column} ${shown}${optional ? '' : ' not null'}`;
        })
        .sort(),
    ]),
  );
};

describe('a Prisma schema', () => {
  let database: TestDatabase | undefined;
  let client: pg.Client | undefined;
  afterEach(async () => {
    await client?.end();
    await database?.drop();
    [client, database] = [undefined, undefined];
  });

  it.each(subgraphs)('each model of $name has the columns that its migrations make', async ({ name }) => {
    const described = columnsOfSchema(readFileSync(schemaPath(name), 'utf8'));
    const migrations = pathToFileURL(`${join(root, 'prisma', name, 'migrations')}/`);
    database = await testDatabase({ name, migrations: [{ migrations }] });
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ table: string; columns: string[] }>(
      `SELECT table_name AS table, array_agg(column_name || ' ' ||
              CASE data_type WHEN 'USER-DEFINED' THEN 'other' WHEN 'tsvector' THEN 'other' ELSE data_type END ||
              CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END) AS columns
         FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = ANY($1) GROUP BY table_name`,
      [Object.keys(described)],
    );
    expect(Object.keys(described).length).toBeGreaterThan(0);
    expect(Object.fromEntries(rows.map(({ table, columns }) => [table, columns.sort()]))).toEqual(described);
  });
});
