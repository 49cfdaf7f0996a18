import { execFile } from 'node:child_process';
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SecureListener } from '@cinegraph/local/kafka/settings';

const run = promisify(execFile);

/**
 * Creates a certificate for a server at 127.0.0.1 and no other name, its key, and the CA that signed it. All
 * are PEM and valid for one day.
 */
export const makeCertificates = async (): Promise<{
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}> => {
  const folder = await mkdtemp(join(tmpdir(), 'cinegraph-certificates-'));
  const file = (name: string) => join(folder, name);
  const request = (name: string, ...more: readonly string[]) =>
    run('openssl', [
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', `/CN=cinegraph test ${name}`, '-keyout', file(`${name}.key`), ...more],
    ]);
  try {
    await request('ca', '-x509', '-days', '1', '-out', file('ca.pem'));
    await request('server', '-out', file('server.csr'));
    await writeFile(file('names'), 'subjectAltName=IP:127.0.0.1\n');
    await run('openssl', [
      ...['x509', '-req', '-in', file('server.csr'), '-days', '1', '-extfile', file('names')],
      ...['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-out', file('server.pem')],
    ]);
    const [ca, certificate, key] = await Promise.all(
      ['ca.pem', 'server.pem', 'server.key'].map((name) => readFile(file(name), 'utf8')),
    );
    return { ca: ca ?? '', certificate: certificate ?? '', key: key ?? '' };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Returns a listener with that certificate, which accepts SCRAM-SHA-512, and PLAIN from these users. */
export const secureListener = (
  { certificate, key }: { readonly certificate: string; readonly key: string },
  plainUsers: Readonly<Record<string, string>>,
): SecureListener => {
  const line = (pem: string) => pem.trim().replaceAll('\n', ' ');
  const modules = 'org.apache.kafka.common.security';
  const users = Object.entries(plainUsers).map(([name, password]) => ` user_${name}="${password}"`);
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.certificate.chain': line(certificate),
    'ssl.keystore.key': line(key),
    'sasl.enabled.mechanisms': 'SCRAM-SHA-512,PLAIN',
    'scram-sha-512.sasl.jaas.config': `${modules}.scram.ScramLoginModule required;`,
    'plain.sasl.jaas.config': `${modules}.plain.PlainLoginModule required${users.join('')};`,
  };
};

/**
 * Adds a SCRAM-SHA-512 user by Kafka's request AlterUserScramCredentials, version 0, which kafkajs lacks.
 * `port` is that of the listener without authentication. Rejects if the broker rejects the request.
 */
export const addScramUser = async (port: number, username: string, password: string): Promise<void> => {
  const [salt, iterations] = [randomBytes(16), 4_096];
  const salted = pbkdf2Sync(password, salt, iterations, 64, 'sha512');
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const bytes = (value: Buffer) => [Buffer.of(value.length + 1), value];
  const request = Buffer.concat([
    // API key, version, correlation id, no client id, no tags, no deletions, one insertion.
    Buffer.of(0, 51, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 2),
    ...bytes(Buffer.from(username)),
    ...[Buffer.of(2), number(iterations), ...bytes(salt), ...bytes(salted), Buffer.of(0, 0)],
  ]);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(Buffer.concat([number(request.length), request])),
    );
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const whole = Buffer.concat(chunks);
      if (whole.length < 4 || whole.length < 4 + whole.readInt32BE()) return;
      socket.destroy();
      resolve(whole);
    });
    socket.once('error', reject).once('close', () => reject(new Error('The broker closed the connection.')));
  });
  // Before the error code come length, correlation id, tags, throttle time, number of results and user name.
  const code = answer.readInt16BE(15 + Buffer.byteLength(username));
  if (code !== 0) throw new Error(`The broker rejected the user with error ${code}.`);
};
