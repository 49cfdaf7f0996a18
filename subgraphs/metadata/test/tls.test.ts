import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { createAuthority, type Authority } from '@cinegraph/testing/certificates';
import { testDatabase, type TestDatabase } from '@cinegraph/testing/database';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { metadata } from '../src/subgraph.js';

let folder: string;
let authority: Authority;
let database: TestDatabase;
let subgraph: Awaited<ReturnType<typeof startSubgraph>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subgraph-tls-'));
  authority = await createAuthority();
  database = await testDatabase({ name: metadata.name, migrations: metadata.migrations });
  const { certificate, key } = await authority.issue('IP:127.0.0.1');
  const files = { 'certificate.pem': certificate, 'key.pem': key, 'ca.pem': authority.ca };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  subgraph = await startSubgraph(metadata, {
    mode: 'test',
    host: '127.0.0.1',
    port: 0,
    tls: {
      certPath: join(folder, 'certificate.pem'),
      keyPath: join(folder, 'key.pem'),
      clientCaPath: join(folder, 'ca.pem'),
    },
    databaseUrl: database.url,
    subgraphKey: undefined,
    logger: silentLogger,
  });
});
afterAll(async () => {
  await subgraph.stop();
  await database.drop();
  await authority.remove();
  await rm(folder, { recursive: true, force: true });
});

const ask = (options: RequestOptions) =>
  new Promise<number | string | undefined>((resolve) => {
    get(`${subgraph.url}/health/ready`, { agent: false, ca: authority.ca, ...options }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    }).once('error', (error) => resolve(error.name));
  });

it('a subgraph with certificates is served over https, and to clients with a certificate only', async () => {
  const { certificate: cert, key } = await authority.issue('DNS:gateway.example');

  expect(subgraph.url).toMatch(/^https:/);
  expect(await ask({ cert, key })).toBe(200);
  expect(await ask({})).toBe('Error');
});
