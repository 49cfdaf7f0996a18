import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { z } from 'zod';

/** What a Kafka wants of whoever connects; nothing where both are left out. */
export interface KafkaSecurity {
  /** Connections are encrypted. `ca`: PEM, the only certificates that are trusted; those that Node trusts where it is undefined. */
  readonly tls?: { readonly ca?: string | undefined } | undefined;
  readonly sasl?: KafkaSasl | undefined;
}

/** Who we are to the cluster. */
export interface KafkaSasl {
  readonly mechanism: (typeof mechanisms)[number];
  readonly username: string;
  readonly password: string;
}

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

/**
 * The variables of a Kafka that wants TLS or a password. What one of them needs of another is looked up in `environment`, so
 * that `readEnv` tells all at once; where `KAFKA_BROKERS` is not set, none is looked at.
 */
export const kafkaSecurityVariables = (environment: NodeJS.ProcessEnv) => {
  const {
    KAFKA_BROKERS: brokers,
    KAFKA_USERNAME: username,
    KAFKA_PASSWORD: password,
    KAFKA_SASL_MECHANISM: mechanism,
  } = environment;
  const own = {
    KAFKA_TLS: tlsVariable,
    KAFKA_USERNAME: z.string(),
    KAFKA_PASSWORD: z.string(),
    KAFKA_SASL_MECHANISM: z.enum(mechanisms, `must be one of ${mechanisms.join(', ')}`),
  };
  const none = z
    .string()
    .optional()
    .transform(() => undefined);
  if (!brokers) {
    return { KAFKA_TLS: none, KAFKA_USERNAME: none, KAFKA_PASSWORD: none, KAFKA_SASL_MECHANISM: none };
  }
  const { KAFKA_TLS: tls, KAFKA_USERNAME: name } = own;
  const isOpen = !brokers.split(',').every((broker) => isLoopback(broker.replace(/:\d+$/u, '')));
  return {
    KAFKA_TLS:
      (username || password) && isOpen
        ? tls.describe(
            'is not set, but needed: a password never goes to a Kafka on another machine in clear. Set it to true, or to the path of the PEM file with the CA of its certificate',
          )
        : tls.optional(),
    KAFKA_USERNAME: password
      ? name.describe('is not set, but KAFKA_PASSWORD is')
      : mechanism
        ? name.describe('is not set, but KAFKA_SASL_MECHANISM is')
        : name.optional(),
    KAFKA_PASSWORD: username
      ? own.KAFKA_PASSWORD.describe('is not set, but KAFKA_USERNAME is')
      : own.KAFKA_PASSWORD.optional(),
    KAFKA_SASL_MECHANISM: own.KAFKA_SASL_MECHANISM.optional(),
  };
};

/** What those variables, once read, say. */
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

/** Whether what is sent to that host, a name or an address, stays on this machine. */
export const isLoopback = (host: string): boolean =>
  ['localhost', '::1', '[::1]'].includes(host) || (isIPv4(host) && host.startsWith('127.'));

const tlsVariable = z.string().transform((text, context) => {
  if (text === 'true') return { ca: undefined };
  try {
    const ca = readFileSync(text, 'utf8');
    // Node takes what is no certificate without a word, and would then trust nobody.
    const certificates = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu) ?? [];
    if (certificates.length === 0) throw new Error('it has no certificate');
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
