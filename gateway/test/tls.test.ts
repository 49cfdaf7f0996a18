import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, type Authority, type Certificate } from '@cinegraph/testing/certificates';
import { until } from '@cinegraph/testing/until';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { createTestLog, startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

let folder: string;
let authority: Authority;
let other: Authority;
let client: Certificate;
let stranger: Certificate;
let world: World | undefined;
let front: Server | undefined;

const file = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gateway-tls-'));
  [authority, other] = await Promise.all([createAuthority(), createAuthority()]);
  client = await authority.issue('DNS:gateway.example');
  stranger = await other.issue('DNS:gateway.example');
  await writeFile(file('other-ca.pem'), other.ca);
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
  front?.close();
  front = undefined;
});
afterAll(async () => {
  await Promise.all([authority.remove(), other.remove(), rm(folder, { recursive: true, force: true })]);
});

/** Starts a gateway whose subgraph `things` is reached over TLS only, and that trusts `authority`. */
const start = async (
  names: string,
  options: { expired?: boolean; server?: TlsOptions; env?: Record<string, string> } = {},
): Promise<World> => {
  const { certificate: cert, key } = await authority.issue(names, options.expired ? 'expired' : 'a day');
  let port = 0;
  front = createServer({ cert, key, ...options.server }, (socket) => {
    const inner = connect(port, '127.0.0.1');
    for (const end of [socket, inner]) end.on('error', () => undefined);
    socket.pipe(inner).pipe(socket);
  });
  front.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => front?.listen(0, '127.0.0.1', resolve));
  await writeFile(file('ca.pem'), authority.ca);
  const { port: frontPort } = front.address() as AddressInfo;
  world = await startWorld({
    SUBGRAPH_URL_THINGS: `https://127.0.0.1:${frontPort}/graphql`,
    SUBGRAPH_CA_PATH: file('ca.pem'),
    ...options.env,
  });
  port = Number(new URL(world.things.url).port);
  return world;
};

const query = '{ things(count: 1) { name } }';
const data = { things: [{ name: 'zero' }] };
const withClient = async ({ certificate, key }: Certificate): Promise<Record<string, string>> => {
  await writeFile(file('client.pem'), certificate);
  await writeFile(file('client.key'), key);
  return { SUBGRAPH_CLIENT_CERT_PATH: file('client.pem'), SUBGRAPH_CLIENT_KEY_PATH: file('client.key') };
};

const refusesFetches = async ({ ask, things, log }: World, reason: RegExp): Promise<void> => {
  const { body, text } = await ask(query);
  expect(body.errors?.[0]?.extensions).toEqual({ code: 'SUBGRAPH_UNAVAILABLE' });
  expect(text).not.toMatch(/certificate|127\.0\.0\.1|https/i);
  expect(things.seen).toEqual([]);
  expect(JSON.stringify(log.filter(({ msg }) => msg === 'a fetch failed'))).toMatch(reason);
};

describe('fetches over https', () => {
  it('a subgraph with a certificate of the trusted CA is asked', async () => {
    const { ask } = await start('IP:127.0.0.1');

    expect((await ask(query)).body).toEqual({ data });
  });

  it('a subgraph with a certificate of another CA is not asked', async () => {
    await refusesFetches(
      await start('IP:127.0.0.1', { env: { SUBGRAPH_CA_PATH: file('other-ca.pem') } }),
      /unable to verify|self.signed/,
    );
  });

  it('a subgraph whose certificate has another name is not asked', async () => {
    await refusesFetches(await start('DNS:things.example'), /ERR_TLS_CERT_ALTNAME_INVALID|altname/i);
  });

  it('a subgraph whose certificate has expired is not asked', async () => {
    await refusesFetches(await start('IP:127.0.0.1', { expired: true }), /expired/);
  });

  it('a subgraph that requires a certificate of the gateway gets it', async () => {
    const server = { requestCert: true, rejectUnauthorized: true, ca: authority.ca };
    const { ask } = await start('IP:127.0.0.1', { server, env: await withClient(client) });

    expect((await ask(query)).body).toEqual({ data });
  });

  it('a subgraph that requires a certificate refuses a gateway without one, and uses a new one without a restart', async () => {
    const server = { requestCert: true, rejectUnauthorized: true, ca: authority.ca };
    const started = await start('IP:127.0.0.1', { server, env: await withClient(stranger) });
    await refusesFetches(started, /./);

    await withClient(client);
    await until(async () => (await started.ask(query)).body.errors === undefined);
  });

  it('a CA that cannot be used ends the start with one sentence, and so does half a pair of client files', async () => {
    await writeFile(file('empty.pem'), '');
    const { supergraphPath } = await start('IP:127.0.0.1');
    const starts = async (env: Record<string, string>) =>
      startGateway(
        readConfig({ NODE_ENV: 'test', PORT: '0', SUPERGRAPH_PATH: supergraphPath, ...env }),
        createTestLog().logger,
      );

    await expect(starts({ SUBGRAPH_CA_PATH: file('empty.pem') })).rejects.toThrow(/the CA is no PEM/);
    await expect(starts({ SUBGRAPH_CA_PATH: file('none.pem') })).rejects.toThrow(
      /^SUBGRAPH_CA_PATH: the file .* cannot be read/,
    );
    await expect(starts({ SUBGRAPH_CLIENT_CERT_PATH: file('client.pem') })).rejects.toThrow(/set both/);
  });
});
