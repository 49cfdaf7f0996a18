import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { SecureListener } from '@cinegraph/local/kafka/settings';
import { createAuthority, type Certificate } from './certificates.js';

/**
 * Creates a certificate for a server at 127.0.0.1 and no other name, its key, and the CA that signed it. All
 * are PEM and valid for one day.
 */
export const makeCertificates = async (): Promise<Certificate & { readonly ca: string }> => {
  const authority = await createAuthority();
  try {
    return { ca: authority.ca, ...(await authority.issue('IP:127.0.0.1')) };
  } finally {
    await authority.remove();
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
