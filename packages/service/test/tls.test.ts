import { rename, writeFile, mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { Agent, request as requestTls, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, type Authority, type Certificate } from '@cinegraph/testing/certificates';
import { until } from '@cinegraph/testing/until';
import { createHttpServer, type HttpServer } from '../src/http/server.js';
import { tlsFilesOf } from '../src/http/tls.js';
import { createLogger } from '../src/logger.js';

const logger = createLogger({ name: 'test', level: 'silent' });
const local = 'IP:127.0.0.1,DNS:localhost';

let folder: string;
let authority: Authority;
let other: Authority;
let certificate: Certificate;
let server: HttpServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-'));
  [authority, other] = await Promise.all([createAuthority(), createAuthority()]);
  certificate = await authority.issue(local);
});
afterEach(async () => {
  await server?.part.stop();
  server = undefined;
});
afterAll(async () => {
  await Promise.all([authority.remove(), other.remove(), rm(folder, { recursive: true, force: true })]);
});

const path = (name: string): string => join(folder, name);

const save = async (name: string, text: string): Promise<string> => {
  await writeFile(path(`${name}.next`), text);
  await rename(path(`${name}.next`), path(name));
  return path(name);
};

const start = async (used: Certificate, clientCa?: string): Promise<void> => {
  server = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    logger,
    readiness: async () => ({ ready: true, checks: {} }),
    tls: {
      certPath: await save('certificate.pem', used.certificate),
      keyPath: await save('key.pem', used.key),
      clientCaPath: clientCa === undefined ? undefined : await save('client-ca.pem', clientCa),
    },
  });
  await server.part.start();
};

/** Requests `/health/live` on a new connection; returns status and headers, or the code of the error. */
const ask = async (options: RequestOptions = {}) =>
  new Promise<{ status?: number | undefined; hsts?: unknown; serial?: string; error?: string | undefined }>(
    (resolve) => {
      requestTls(
        `${server?.url()}/health/live`,
        { agent: new Agent(), ca: authority.ca, ...options },
        (response) => {
          const { socket } = response as unknown as {
            socket: { getPeerCertificate: () => { serialNumber: string } };
          };
          const { serialNumber: serial } = socket.getPeerCertificate();
          response.resume().once('end', () =>
            resolve({
              status: response.statusCode,
              hsts: response.headers['strict-transport-security'],
              serial,
            }),
          );
        },
      )
        .once('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code }))
        .end();
    },
  );

describe('an HTTP server with a certificate', () => {
  it('serves clients that trust its CA over https, and asks browsers to keep to https', async () => {
    await start(certificate);

    expect(server?.url()).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(await ask()).toMatchObject({ status: 200, hsts: 'max-age=31536000' });
  });

  it('is refused by clients that do not trust its CA', async () => {
    await start(certificate);

    expect(await ask({ ca: other.ca })).toEqual({ error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  it('is refused under a name that its certificate does not have', async () => {
    await start(await authority.issue('DNS:graph.example'));

    expect(await ask()).toEqual({ error: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('is refused once its certificate has expired', async () => {
    await start(await authority.issue(local, 'expired'));

    expect(await ask()).toEqual({ error: 'CERT_HAS_EXPIRED' });
  });

  it('accepts no version below TLS 1.2', async () => {
    await start(certificate);
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;

    expect((await ask(old)).error).toMatch(/TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|EPROTO/);
    expect(await ask({ maxVersion: 'TLSv1.2' })).toMatchObject({ status: 200 });
  });

  it('closes a connection that speaks plain HTTP, without a word', async () => {
    await start(certificate);
    const socket = connect(Number(new URL(server?.url() ?? '').port), '127.0.0.1', () =>
      socket.write('GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n'),
    );
    let text = '';
    for await (const chunk of socket.setEncoding('latin1')) text += String(chunk);

    expect(text).not.toContain('HTTP/');
    expect(await ask()).toMatchObject({ status: 200 });
  });

  it('uses a new certificate for new connections without a restart, and keeps the old one if the new one cannot be used', async () => {
    await start(certificate);
    const { serial } = await ask();
    await save('certificate.pem', 'no certificate');
    const next = await authority.issue(local);
    await save('key.pem', next.key);
    expect((await ask()).serial).toBe(serial);

    await save('certificate.pem', next.certificate);
    await until(async () => (await ask()).serial !== serial);
    expect(await ask()).toMatchObject({ status: 200 });
  });

  it('stops although a client keeps a connection open, in its handshake or after it', async () => {
    await start(certificate);
    const agent = new Agent({ keepAlive: true });
    await ask({ agent });
    const handshake = connect(Number(new URL(server?.url() ?? '').port), '127.0.0.1');
    handshake.on('error', () => undefined);
    await once(handshake, 'connect');
    await server?.part.stop();
    agent.destroy();
    handshake.destroy();

    expect((await ask().catch(() => ({ error: 'stopped' }))).error).toBeDefined();
  });
});

describe('an HTTP server with a CA of clients', () => {
  it('serves a client with a certificate of that CA', async () => {
    const client = await other.issue('DNS:client.example');
    await start(certificate, other.ca);

    expect(await ask({ cert: client.certificate, key: client.key })).toMatchObject({ status: 200 });
  });

  it('refuses a client without a certificate, of another CA, or with an expired one', async () => {
    await start(certificate, other.ca);
    const [stranger, expired] = [
      await authority.issue('DNS:client.example'),
      await other.issue('DNS:client.example', 'expired'),
    ];

    for (const client of [undefined, stranger, expired]) {
      const { status, error } = await ask(client && { cert: client.certificate, key: client.key });
      expect(status).toBeUndefined();
      expect(error).toMatch(/^(ERR_SSL_|ECONNRESET|EPROTO|EPIPE)/);
    }
  });
});

describe('the certificates of a listener', () => {
  it('a file that cannot be read, or a key of another certificate, ends the start with one sentence', async () => {
    const { key } = await authority.issue(local);
    const used = { certPath: path('certificate.pem'), keyPath: path('key.pem'), clientCaPath: undefined };
    await save('certificate.pem', certificate.certificate);
    await save('key.pem', key);
    const create = (tls: typeof used) =>
      createHttpServer({
        host: '127.0.0.1',
        port: 0,
        logger,
        tls,
        readiness: async () => ({ ready: true, checks: {} }),
      });

    expect(() => create({ ...used, certPath: path('none') })).toThrow(
      /^TLS_CERT_PATH: the file .* cannot be read/,
    );
    expect(() => create(used)).toThrow(/the certificates cannot be used \(.*key values mismatch\)\.$/);
  });

  it('the variables of certificate and key must be set together', () => {
    expect(tlsFilesOf({})).toBeUndefined();
    expect(tlsFilesOf({ TLS_CERT_PATH: 'a', TLS_KEY_PATH: 'b' })).toEqual({ certPath: 'a', keyPath: 'b' });
    for (const partial of [{ TLS_CERT_PATH: 'a' }, { TLS_KEY_PATH: 'a' }, { TLS_CLIENT_CA_PATH: 'a' }]) {
      expect(() => tlsFilesOf(partial)).toThrow(/set both/);
    }
  });
});
