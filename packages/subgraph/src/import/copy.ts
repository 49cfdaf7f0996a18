import { once } from 'node:events';
import type pg from 'pg';
import { from } from 'pg-copy-streams';

/**
 * Writes rows into `table` by COPY on this connection, and resolves when the database has received all of
 * them. Values are text in PostgreSQL's input format of the column's type; null is NULL. COPY is the fastest
 * way to write many rows, because no statement is parsed for each row.
 */
export const copyRows = async (
  client: pg.ClientBase,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): Promise<void> => {
  if (rows.length === 0) return;
  const stream = client.query(from(`COPY ${table} (${columns.join(', ')}) FROM STDIN`));
  const done = once(stream, 'finish');
  stream.end(rows.map(toLine).join(''));
  await done;
};

const toLine = (row: readonly (string | number | null)[]): string => {
  let line = '';
  for (let at = 0; at < row.length; at += 1) {
    const value = row[at] ?? null;
    if (at > 0) line += '\t';
    if (value === null) line += '\\N';
    else if (typeof value === 'number') line += String(value);
    else line += special.test(value) ? value.replace(specials, escape) : value;
  }
  return `${line}\n`;
};

const special = /[\\\t\n\r]/;
const specials = /[\\\t\n\r]/g;
const escape = (character: string): string =>
  ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[character] ?? character;
