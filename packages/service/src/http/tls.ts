import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type Server } from 'node:tls';
import { z } from 'zod';
import type { Logger } from '../logger.js';
import { StartError } from '../start-error.js';
import { reasonOf } from '../terminal.js';
import { watchFiles, type FileWatch } from '../watch-files.js';

/** The PEM files of a listener. With `clientCaPath`, a client must have a certificate of that CA. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  readonly clientCaPath: string | undefined;
}

/** The variables of a listener with TLS. */
export const tlsVariables = {
  TLS_CERT_PATH: z.string().optional(),
  TLS_KEY_PATH: z.string().optional(),
  TLS_CLIENT_CA_PATH: z.string().optional(),
} as const;

/**
 * Returns the files that these variables name, once they are read; undefined if the listener has no TLS.
 * Throws a StartError if only a part of them is set.
 */
export const tlsFilesOf = (env: {
  readonly TLS_CERT_PATH?: string | undefined;
  readonly TLS_KEY_PATH?: string | undefined;
  readonly TLS_CLIENT_CA_PATH?: string | undefined;
}): TlsFiles | undefined => {
  const { TLS_CERT_PATH: certPath, TLS_KEY_PATH: keyPath, TLS_CLIENT_CA_PATH: clientCaPath } = env;
  if (certPath !== undefined && keyPath !== undefined) return { certPath, keyPath, clientCaPath };
  if (certPath === undefined && keyPath === undefined && clientCaPath === undefined) return undefined;
  throw new StartError(
    'The environment is not usable:\n  TLS_CERT_PATH, TLS_KEY_PATH: set both, or neither of them nor TLS_CLIENT_CA_PATH',
  );
};

/** PEM files that were read: the options of TLS, and the texts in the order of the paths. */
export interface ReadPem {
  readonly paths: readonly string[];
  readonly texts: readonly string[];
}

/**
 * Reads PEM files by the name of their variable. Throws a StartError that names the variable of a file that
 * cannot be read.
 */
export const readPem = (files: Readonly<Record<string, string | undefined>>): ReadPem => {
  const named = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    paths: named.map(([, path]) => path),
    texts: named.map(([variable, path]) => {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        throw new StartError(`${variable}: the file ${path} cannot be read (${reasonOf(error)}).`, {
          cause: error,
        });
      }
    }),
  };
};

/**
 * Returns the options of certificate, key and CA, all optional. Throws a StartError if they are no PEM, or if
 * the key is not that of the certificate; `variables` names them there.
 */
export const checkedContext = (
  { ca, cert, key }: { ca?: string | undefined; cert?: string | undefined; key?: string | undefined },
  variables: string,
): SecureContextOptions => {
  const context: SecureContextOptions = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    minVersion: 'TLSv1.2',
  };
  try {
    if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('the CA is no PEM');
    createSecureContext(context);
  } catch (error) {
    throw new StartError(`${variables}: the certificates cannot be used (${reasonOf(error)}).`, {
      cause: error,
    });
  }
  return context;
};

/** The certificates of one listener. */
export interface ListenerTls {
  /** For `https.createServer`. */
  readonly options: SecureContextOptions & {
    readonly requestCert: boolean;
    readonly rejectUnauthorized: true;
  };
  /**
   * Watches the files, and gives new content to the server for new connections. Content that cannot be used
   * is refused with the reason in the log, and the old certificates are kept.
   */
  readonly watch: (server: Server, pollMs?: number) => FileWatch;
}

/** Reads the files of a listener. Throws a StartError if they cannot be used. */
export const openListenerTls = (files: TlsFiles, logger: Logger): ListenerTls => {
  const { certPath, keyPath, clientCaPath } = files;
  const { paths, texts } = readPem({
    TLS_CERT_PATH: certPath,
    TLS_KEY_PATH: keyPath,
    TLS_CLIENT_CA_PATH: clientCaPath,
  });
  const contextOf = ([cert, key, ca]: readonly string[]) =>
    checkedContext({ cert, key, ca }, 'TLS_CERT_PATH, TLS_KEY_PATH, TLS_CLIENT_CA_PATH');
  return {
    options: { ...contextOf(texts), requestCert: clientCaPath !== undefined, rejectUnauthorized: true },
    watch: (server, pollMs) => {
      const watch = watchFiles({
        paths,
        what: 'certificate of the listener',
        onChange: async (changed) => {
          try {
            server.setSecureContext(contextOf(changed));
            logger.info({ path: certPath }, 'a new certificate is used for new connections');
          } catch (error) {
            logger.error(
              { err: error, path: certPath },
              'the new certificate is refused; the last one is still used',
            );
          }
        },
        logger,
        ...(pollMs !== undefined && { pollMs }),
      });
      // The first poll compares the files with what was read here.
      watch.start({ version: '', texts });
      return watch;
    },
  };
};
