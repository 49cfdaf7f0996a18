import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate and its key, as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certification authority. */
export interface Authority {
  /** Its own certificate, as PEM. */
  readonly ca: string;
  /**
   * Signs a certificate for these subject alternative names, e.g. `IP:127.0.0.1`, valid for one day or
   * expired since yesterday.
   */
  readonly issue: (names: string, validity?: 'a day' | 'expired') => Promise<Certificate>;
  /** Removes its files. */
  readonly remove: () => Promise<void>;
}

/** Creates an authority with `openssl`. */
export const createAuthority = async (): Promise<Authority> => {
  const folder = await mkdtemp(join(tmpdir(), 'cinegraph-certificates-'));
  const file = (name: string) => join(folder, name);
  const request = (name: string, ...more: readonly string[]) =>
    run('openssl', [
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', `/CN=cinegraph test ${name}`, '-keyout', file(`${name}.key`), ...more],
    ]);
  await request('ca', '-x509', '-days', '1', '-out', file('ca.pem'));
  let issued = 0;
  return {
    ca: await readFile(file('ca.pem'), 'utf8'),
    issue: async (names, validity = 'a day') => {
      const name = `certificate${(issued += 1)}`;
      await request(name, '-out', file(`${name}.csr`));
      await writeFile(file(`${name}.names`), `subjectAltName=${names}\n`);
      await run('openssl', [
        ...['x509', '-req', '-in', file(`${name}.csr`), '-days', validity === 'expired' ? '-1' : '1'],
        ...['-extfile', file(`${name}.names`), '-CA', file('ca.pem'), '-CAkey', file('ca.key')],
        ...['-set_serial', String(issued), '-out', file(`${name}.pem`)],
      ]);
      return {
        certificate: await readFile(file(`${name}.pem`), 'utf8'),
        key: await readFile(file(`${name}.key`), 'utf8'),
      };
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
};
