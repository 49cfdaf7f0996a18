import { connect, isIP, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Kafka, logLevel, type logCreator, type RetryOptions, type SASLOptions } from 'kafkajs';
import type { Logger } from '@cinegraph/service/logger';
import type { ConnectionState } from './connection-state.js';
import { translateLine, unencryptedCode } from './explain-error.js';
import { isLoopback, type KafkaSasl, type KafkaSecurity } from './security.js';

/** A client of the cluster, with the means to end it at once. */
export interface KafkaClient {
  readonly kafka: Kafka;
  /**
   * Destroys all sockets of the client and lets it open no others, so that whatever it is still doing fails
   * soon. This bounds operations for which kafkajs has no timeout.
   */
  readonly abandon: () => void;
}

/**
 * The retries within one operation of kafkajs. All values are set, because its defaults differ if NODE_ENV is
 * "test". They are few: kafkajs nests them, and our callers retry the whole operation.
 */
export const retry: RetryOptions = {
  initialRetryTime: 100,
  factor: 0.3,
  multiplier: 2,
  maxRetryTime: 2_000,
  retries: 3,
};

/** What a client is opened with. */
export interface KafkaClientOptions extends KafkaSecurity {
  readonly clientId: string;
  readonly brokers: readonly string[];
  readonly logger: Logger;
  readonly connectionState: ConnectionState;
}

/** Creates a client, which connects when it is first used. The lines that kafkajs logs go to `logger`. */
export const openKafkaClient = (options: KafkaClientOptions): KafkaClient => {
  const { clientId, brokers, sasl, logger, connectionState } = options;
  const sockets = new Set<Socket>();
  let abandoned = false;
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    ...(sasl && { sasl: saslOptions(sasl) }),
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    retry,
    logLevel: logLevel.INFO,
    logCreator: createLog(logger, connectionState, () => abandoned),
    socketFactory: ({ host, port, onConnect }) => {
      if (abandoned) throw new Error('the Kafka client is closed');
      const socket = openSocket(options, { host, port }, () => {
        // With SASL, an open socket is not yet a successful login.
        if (!sasl) connectionState.markAvailable();
        onConnect();
      });
      socket.setKeepAlive(true, 10_000);
      // A produce request must not wait until the previous packet is acknowledged.
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', (error) => {
        if (abandoned) return;
        connectionState.markUnavailable();
        connectionState.explain(error);
      });
      socket.on('close', () => {
        sockets.delete(socket);
        // kafkajs calls `unref` at each disconnect, and on a closed socket each call would add a listener.
        socket.unref = () => socket;
      });
      return socket;
    },
  });
  return {
    kafka,
    abandon: () => {
      abandoned = true;
      // With an error, because kafkajs does not listen to "close" and would keep the connection.
      for (const socket of sockets) socket.destroy(new Error('the Kafka client is closed'));
    },
  };
};

const openSocket = (
  { tls, sasl }: KafkaSecurity,
  { host, port }: { readonly host: string; readonly port: number },
  onConnect: () => void,
): Socket => {
  if (tls) {
    // Node compares the certificate with `servername`, or with the address if there is none.
    const servername = isIP(host) === 0 ? { servername: host } : {};
    return connectTls({ host, port, ...servername, ca: tls.ca }, onConnect);
  }
  if (!sasl || isLoopback(host)) return connect({ host, port }, onConnect);
  // The configured brokers are on this machine, but they advertise one that is not.
  const refusal = new Error('a password is never sent unencrypted to another machine');
  return new Socket().destroy(Object.assign(refusal, { code: unencryptedCode }));
};

/** Returns a new object for each client, because kafkajs writes into it. */
const saslOptions = ({ mechanism, username, password }: KafkaSasl): SASLOptions => ({
  mechanism,
  username,
  password,
});

/**
 * A warning about the idempotent producer, which does not apply because each failure is followed by a new
 * producer; and errors of authentication, which {@link ConnectionState.explain} logs.
 */
const ignoredLines = /^Limiting retries for the idempotent producer|sasl/iu;

/**
 * Translates each line, and lowers it by one level: kafkajs logs an attempt as an error even if it will try
 * again. Lines that mean the same count as one.
 */
const createLog =
  (logger: Logger, connectionState: ConnectionState, isAbandoned: () => boolean): logCreator =>
  () =>
  ({ namespace, level, log: { message, timestamp: _timestamp, logger: _logger, ...rest } }) => {
    if (isAbandoned() || ignoredLines.test(message)) return;
    const sentence = translateLine(message);
    if (connectionState.isRepeated(sentence)) return;
    const fields = { ...rest, kafkajs: `${namespace}: ${message}` };
    if (connectionState.isRefused()) logger.debug(fields, sentence);
    else if (level === logLevel.ERROR) logger.warn(fields, sentence);
    else if (level === logLevel.WARN) logger.info(fields, sentence);
    else logger.debug(fields, sentence);
  };
