#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { connectEngine } from './wasm-engine.mjs';

/*
 * The schema engine that `prisma migrate` starts, as config.mjs configures it: JSON-RPC 2.0, one message a
 * line. Prisma would download a native engine at its first use; this one comes with the packages and works
 * without a network.
 */
const { values, positionals } = parseArgs({
  options: {
    datasource: { type: 'string' },
    datamodels: { type: 'string', multiple: true, default: [] },
    'extension-types': { type: 'string' },
    'enabled-preview-features': { type: 'string' },
  },
  allowPositionals: true,
});
const { url } = JSON.parse(values.datasource ?? '{}');

/**
 * Returns the exit code: 1 if the database is unavailable. Standard error then has the reason, in the
 * engine's format.
 */
const canConnect = async () => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return 0;
  } catch (error) {
    const fields = { error_code: 'P1001', message: `The database does not answer: ${error.message}` };
    // Prisma skips the first line.
    process.stderr.write(
      `\n${JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields })}\n`,
    );
    return 1;
  } finally {
    await client.end();
  }
};

const serve = async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    // A message without a method acknowledges a text that Prisma printed.
    if (request.method === undefined) continue;
    const fail = ({ message, code: error_code }) => {
      send({
        id: request.id,
        error: { code: 4466, message, data: { is_panic: false, message, error_code } },
      });
    };
    // A panic of the engine is thrown outside of its promise.
    process.once('uncaughtException', fail);
    await call(request).catch(fail);
    process.off('uncaughtException', fail);
  }
  return 0;
};

const call = async ({ id, method, params }) => {
  const engine = await (connecting ??= connect());
  if (typeof engine[method] !== 'function') {
    throw new Error(`This engine has no ${method}. Name Prisma's own: PRISMA_SCHEMA_ENGINE_BINARY=<path>`);
  }
  const { stdout, ...result } = (await engine[method](params)) ?? {};
  if (stdout) send({ id: `print ${id}`, method: 'print', params: { content: stdout } });
  send({ id, result });
};

let connecting;

const connect = async () => {
  const schemas = values.datamodels.map(async (path) => [path, await readFile(path, 'utf8')]);
  return connectEngine(url, await Promise.all(schemas));
};

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

process.exitCode = positionals[0] === 'cli' ? await canConnect() : await serve();
