import { BrokerRefused } from '../broker.js';
import type { Logger } from '@cinegraph/service/logger';

/** The code of a connection that is not made, because a password would go over it in clear. */
export const unencrypted = 'KAFKA_UNENCRYPTED';

/** What the clients of one process know together of the cluster. */
export interface ConnectionState {
  /** Whether its brokers were there, and had us, when they were last spoken to. */
  readonly isHere: () => boolean;
  readonly met: () => void;
  readonly missed: () => void;
  /**
   * Of an error that only a person can end (a wrong password, a certificate of an unknown authority) the sentence that says
   * what to do; any other one as it is. The sentence goes into the log once, until the cluster is met.
   */
  readonly explained: (error: unknown) => unknown;
  /** Whether such a sentence stands: whatever else is said of the cluster is a consequence of it. */
  readonly isRefused: () => boolean;
  /** What kafkajs said of it, and when (`performance.now()`). */
  readonly said: Map<string, number>;
}

/** Nothing is known yet. */
export const createConnectionState = (logger: Logger): ConnectionState => {
  let here = false;
  let refusal: string | undefined;
  return {
    isHere: () => here,
    met: () => {
      here = true;
      refusal = undefined;
    },
    missed: () => {
      here = false;
    },
    explained: (error) => {
      const sentence = refusalOf(error);
      if (sentence === undefined) return error;
      here = false;
      if (sentence !== refusal) logger.error(sentence);
      refusal = sentence;
      return new BrokerRefused(sentence);
    },
    isRefused: () => refusal !== undefined,
    said: new Map(),
  };
};

const credentials =
  'Kafka refuses this user name and password: check KAFKA_USERNAME, KAFKA_PASSWORD and KAFKA_SASL_MECHANISM';

/** By the type that the broker's answer has. */
const byType: Readonly<Record<string, string>> = {
  SASL_AUTHENTICATION_FAILED: credentials,
  UNSUPPORTED_SASL_MECHANISM:
    'Kafka does not offer this SASL mechanism: set KAFKA_SASL_MECHANISM to one that it has',
  ILLEGAL_SASL_STATE:
    'Kafka wants no user name here: take the port of its SASL listener in KAFKA_BROKERS, or unset KAFKA_USERNAME and KAFKA_PASSWORD',
};

const stranger = `Kafka's certificate is signed by none that is trusted: set KAFKA_TLS to the path of the PEM file with its CA`;
const untimely = `Kafka's certificate is not valid at this time: renew it, or put the clock of this machine right`;

/** By the code of the failed connection. */
const byCode: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: stranger,
  DEPTH_ZERO_SELF_SIGNED_CERT: stranger,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: stranger,
  UNABLE_TO_GET_ISSUER_CERT: stranger,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: stranger,
  CERT_SIGNATURE_FAILURE: stranger,
  CERT_HAS_EXPIRED: untimely,
  CERT_NOT_YET_VALID: untimely,
  ERR_TLS_CERT_ALTNAME_INVALID: `Kafka's certificate is not for the name that it is reached by: name its brokers in KAFKA_BROKERS, and in their own advertised.listeners, as the certificate does`,
  [unencrypted]: `Kafka told an address on another machine, to which the password would go in clear: set KAFKA_TLS`,
};

interface KafkaError {
  readonly type: string;
  readonly code: string;
  readonly name: string;
  readonly cause: unknown;
}

const refusalOf = (error: unknown): string | undefined => {
  // kafkajs wraps what it has tried several times.
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 8; depth += 1) {
    const { type = '', code = '', name, cause } = at as Partial<KafkaError>;
    const sentence = byType[type] ?? byCode[code];
    if (sentence !== undefined) return sentence;
    if (name === 'KafkaJSSASLAuthenticationError') return credentials;
    at = cause;
  }
  return undefined;
};
