import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { z } from 'zod';

/** What the Kafka cluster requires of its clients; both are undefined if it requires nothing. */
export interface KafkaSecurity {
  /** Connections use TLS. Only the CAs in `ca` (PEM) are trusted, or those of Node if it is undefined. */
  readonly tls?: { readonly ca?: string | undefined } | undefined;
  readonly sasl?: KafkaSasl | undefined;
}

/** The credentials that are sent to the cluster. */
export interface KafkaSasl {
  readonly mechanism: (typeof mechanisms)[number];
  readonly username: string;
  readonly password: string;
}

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

/**
 * Returns the variables of a Kafka that requires TLS or a password. Which of them are required depends on the
 * others in `environment`, so that `readEnv` reports all problems together. All are ignored if
 * `KAFKA_BROKERS` is not set.
 */
export const kafkaSecurityVariables = (environment: NodeJS.ProcessEnv) => {
  const {
    KAFKA_BROKERS: brokers,
    KAFKA_USERNAME: username,
    KAFKA_PASSWORD: password,
    KAFKA_SASL_MECHANISM: mechanism,
  } = environment;
  const ignored = z
    .string()
    .optional()
    .transform(() => undefined);
  if (!brokers) {
    return {
      KAFKA_TLS: ignored,
      KAFKA_USERNAME: ignored,
      KAFKA_PASSWORD: ignored,
      KAFKA_SASL_MECHANISM: ignored,
    };
  }
  const isLocal = brokers.split(',').every((broker) => isLoopback(broker.replace(/:\d+$/u, '')));
  return {
    KAFKA_TLS:
      (username || password) && !isLocal
        ? tlsVariable.describe(
            'is not set, but needed: a password is never sent in clear to a Kafka on another machine. Set it to true, or to the path of the PEM file with the CA of its certificate',
          )
        : tlsVariable.optional(),
    KAFKA_USERNAME: password
      ? z.string().describe('is not set, but KAFKA_PASSWORD is')
      : mechanism
        ? z.string().describe('is not set, but KAFKA_SASL_MECHANISM is')
        : z.string().optional(),
    KAFKA_PASSWORD: username
      ? z.string().describe('is not set, but KAFKA_USERNAME is')
      : z.string().optional(),
    KAFKA_SASL_MECHANISM: z.enum(mechanisms, `must be one of ${mechanisms.join(', ')}`).optional(),
  };
};

/**
 * Returns the security that these variables describe, once they are read; SCRAM-SHA-512 is the default
 * mechanism.
 */
export const kafkaSecurityOf = (env: {
  readonly KAFKA_TLS?: { readonly ca: string | undefined } | undefined;
  readonly KAFKA_USERNAME?: string | undefined;
  readonly KAFKA_PASSWORD?: string | undefined;
  readonly KAFKA_SASL_MECHANISM?: (typeof mechanisms)[number] | undefined;
}): KafkaSecurity => {
  const {
    KAFKA_TLS: tls,
    KAFKA_USERNAME: username,
    KAFKA_PASSWORD: password,
    KAFKA_SASL_MECHANISM: mechanism = 'scram-sha-512',
  } = env;
  return {
    ...(tls && { tls }),
    ...(username !== undefined && password !== undefined && { sasl: { mechanism, username, password } }),
  };
};

/** Returns whether data sent to this host, a name or an address, stays on this machine. */
export const isLoopback = (host: string): boolean =>
  ['localhost', '::1', '[::1]'].includes(host) || (isIPv4(host) && host.startsWith('127.'));

const tlsVariable = z.string().transform((text, context) => {
  if (text === 'true') return { ca: undefined };
  try {
    const ca = readFileSync(text, 'utf8');
    // Node silently accepts a file without certificates, and then trusts no server.
    const certificates = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu) ?? [];
    if (certificates.length === 0) throw new Error('it contains no certificate');
    for (const certificate of certificates) new X509Certificate(certificate);
    return { ca: certificates.join('\n') };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    context.addIssue({
      code: 'custom',
      message: `must be true, or the path of a PEM file with the CA of Kafka's certificate: this file cannot be used (${code ?? message})`,
    });
    return z.NEVER;
  }
});
