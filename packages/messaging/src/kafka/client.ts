import { connect, isIP, Socket } from 'node:net';
import { connect as connectEncrypted } from 'node:tls';
import { Kafka, logLevel, type logCreator, type RetryOptions, type SASLOptions } from 'kafkajs';
import type { Logger } from '@cinegraph/service/logger';
import { unencrypted, type ConnectionState } from './connection-state.js';
import { isLoopback, type KafkaSasl, type KafkaSecurity } from './security.js';

/** A connection to the cluster that can be given up. */
export interface KafkaClient {
  readonly kafka: Kafka;
  /**
   * Cuts all its sockets, and it opens no other: whatever it still tries ends soon, without effect. That bounds what
   * kafkajs itself does not bound.
   */
  readonly abandon: () => void;
}

/**
 * Retries of what kafkajs does by itself, all set: its own differ where NODE_ENV is "test". They are nested in kafkajs, so
 * that a few are enough; what lasts longer is tried anew by ours.
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
  readonly presence: ConnectionState;
}

/** A client whose log lines go into ours, without the same line again and again while a broker is away. */
export const openKafkaClient = (options: KafkaClientOptions): KafkaClient => {
  const { clientId, brokers, sasl, logger, presence } = options;
  const sockets = new Set<Socket>();
  let abandoned = false;
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    ...(sasl && { sasl: saslOf(sasl) }),
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    retry,
    logLevel: logLevel.INFO,
    logCreator: logInto(logger, presence, () => abandoned),
    socketFactory: ({ host, port, onConnect }) => {
      if (abandoned) throw new Error('this client was given up');
      const socket = openSocket(options, { host, port }, () => {
        // Whoever wants a password has not had us yet.
        if (!sasl) presence.met();
        onConnect();
      });
      socket.setKeepAlive(true, 10_000);
      // Produce requests must not wait for the acknowledgement of the packet before them.
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', (error) => {
        if (abandoned) return;
        presence.missed();
        presence.explained(error);
      });
      socket.on('close', () => {
        sockets.delete(socket);
        // kafkajs disconnects from it again and again; each time it would wait for a connection that never comes.
        socket.unref = () => socket;
      });
      return socket;
    },
  });
  return {
    kafka,
    abandon: () => {
      abandoned = true;
      // With an error, because kafkajs does not listen to "close", and would go on looking after the connection.
      for (const socket of sockets) socket.destroy(new Error('this client was given up'));
    },
  };
};

const openSocket = (
  { tls, sasl }: KafkaSecurity,
  { host, port }: { readonly host: string; readonly port: number },
  onConnect: () => void,
): Socket => {
  // A name is what the certificate has to be for; an address is compared without being told.
  if (tls) {
    const servername = isIP(host) === 0 ? { servername: host } : {};
    return connectEncrypted({ host, port, ...servername, ca: tls.ca }, onConnect);
  }
  if (!sasl || isLoopback(host)) return connect({ host, port }, onConnect);
  // The brokers that were named are on this machine, and told of one that is not.
  const refusal = new Error('a password never goes to another machine in clear');
  return new Socket().destroy(Object.assign(refusal, { code: unencrypted }));
};

/** An object of each client's own: kafkajs writes into it. */
const saslOf = ({ mechanism, username, password }: KafkaSasl): SASLOptions => ({
  mechanism,
  username,
  password,
});

const quietMs = 10_000;

/** kafkajs calls each attempt that fails an error; what it makes of it is told by us. */
const logInto =
  (logger: Logger, presence: ConnectionState, isQuiet: () => boolean): logCreator =>
  () =>
  ({ namespace, level, log: { message, timestamp: _timestamp, logger: _logger, ...rest } }) => {
    // The first is right about us, and answered by a new producer after each failure; the second is told in our words.
    if (isQuiet() || /^Limiting retries for the idempotent producer|sasl/iu.test(message)) return;
    const { said } = presence;
    const now = performance.now();
    const before = said.get(message);
    if (before !== undefined && now - before < quietMs) return;
    if (said.size >= 200) said.clear();
    said.set(message, now);
    const fields = { ...rest, kafkajs: namespace };
    if (presence.isRefused()) logger.debug(fields, message);
    else if (level === logLevel.ERROR) logger.warn(fields, message);
    else if (level === logLevel.WARN) logger.info(fields, message);
    else logger.debug(fields, message);
  };

/** The pause before attempt `attempt` (from 1): doubled from 0.1 s up to 10 s, with up to half of it taken off. */
export const pauseMs = (attempt: number): number =>
  Math.max(100, Math.min(10_000, 100 * 2 ** Math.min(attempt, 12)) * (0.5 + Math.random() / 2));
