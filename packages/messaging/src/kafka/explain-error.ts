/** The code of a connection that is not opened because the password would be sent unencrypted. */
export const unencryptedCode = 'KAFKA_UNENCRYPTED';

/**
 * Returns a sentence that says what to change, if retrying cannot help: a wrong password, an untrusted
 * certificate, a wrong listener. Returns undefined for every other error. Looks through the errors that
 * kafkajs wraps.
 */
export const explainError = (error: unknown): string | undefined => {
  let current = error;
  for (let depth = 0; typeof current === 'object' && current !== null && depth < 8; depth += 1) {
    const { type = '', code = '', name, cause } = current as Partial<KafkaError>;
    const sentence = byType[type] ?? byCode[code];
    if (sentence !== undefined) return sentence;
    if (name === 'KafkaJSSASLAuthenticationError') return wrongCredentials;
    current = cause;
  }
  return undefined;
};

/**
 * Returns what a log line of kafkajs means, in our words. A line that is not known here is quoted, so that it
 * can be looked up. What kafkajs adds to its line, such as the broker's address, stays in the log's fields.
 */
export const translateLine = (line: string): string =>
  translations.find(([pattern]) => pattern.test(line))?.[1] ?? `the Kafka client reports: ${line}`;

const translations: readonly (readonly [pattern: RegExp, sentence: string])[] = [
  [/^Connection (error|timeout)|^Failed to connect to (seed )?broker/, 'a Kafka broker cannot be reached'],
  [/^Failed to connect|^KafkaJS(NonRetriableError|NumberOfRetriesExceeded)/, 'Kafka cannot be reached'],
  [/rebalancing/i, 'the consumer group distributes its partitions again'],
  [/not aware of this member/, 'the consumer group no longer knows this member, which joins it again'],
  [/not aware of all assigned partitions/, 'the consumer reads the list of partitions again'],
  [/resync group/, 'the consumer group is synchronized again'],
  [/^Crash: /, 'the consumer lost its group or its connection'],
  [/^Restarting the consumer/, 'the consumer is started again'],
  [
    /^Offset out of range/,
    'the committed position no longer exists; the consumer begins at the first message that does',
  ],
  [/does not host this topic-partition|no leader|not the leader/i, 'a partition has no leader at the moment'],
  [/coordinator/i, 'the coordinator of the consumer group is not available'],
  [/^Response .*/, 'a Kafka broker responded with an error'],
];

interface KafkaError {
  readonly type: string;
  readonly code: string;
  readonly name: string;
  readonly cause: unknown;
}

const wrongCredentials =
  'Kafka rejects this user name and password: check KAFKA_USERNAME, KAFKA_PASSWORD and KAFKA_SASL_MECHANISM';

/** Keyed by the error type in the broker's response. */
const byType: Readonly<Record<string, string>> = {
  SASL_AUTHENTICATION_FAILED: wrongCredentials,
  UNSUPPORTED_SASL_MECHANISM:
    'Kafka does not offer this SASL mechanism: set KAFKA_SASL_MECHANISM to one that it offers',
  ILLEGAL_SASL_STATE:
    'This Kafka listener expects no user name: use the port of its SASL listener in KAFKA_BROKERS, or unset KAFKA_USERNAME and KAFKA_PASSWORD',
};

const untrusted =
  "Kafka's certificate is not signed by a trusted CA: set KAFKA_TLS to the path of the PEM file with its CA";
const expired =
  "Kafka's certificate is not valid at this time: renew it, or correct the clock of this machine";

/** Keyed by the code of the failed connection. */
const byCode: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_HAS_EXPIRED: expired,
  CERT_NOT_YET_VALID: expired,
  ERR_TLS_CERT_ALTNAME_INVALID:
    "Kafka's certificate does not contain the host name that we connect to: name its brokers in KAFKA_BROKERS, and in their own advertised.listeners, as the certificate does",
  [unencryptedCode]:
    'Kafka advertises an address on another machine, to which the password would be sent in clear: set KAFKA_TLS',
};
