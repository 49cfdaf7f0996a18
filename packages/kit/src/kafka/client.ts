import { connect, type Socket } from 'node:net';
import { Kafka, logLevel, type logCreator, type RetryOptions } from 'kafkajs';
import type { Logger } from '../logger.js';

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

/** What the clients of one process know together of the cluster. */
export interface Presence {
  /** Whether its brokers were there when they were last spoken to. */
  here: boolean;
  /** What kafkajs said of it, and when (`performance.now()`). */
  readonly said: Map<string, number>;
}

/** What a client is opened with. */
export interface KafkaClientOptions {
  readonly clientId: string;
  readonly brokers: readonly string[];
  readonly logger: Logger;
  readonly presence: Presence;
}

/** A client whose log lines go into ours, without the same line again and again while a broker is away. */
export const openKafkaClient = (options: KafkaClientOptions): KafkaClient => {
  const { clientId, brokers, logger, presence } = options;
  const sockets = new Set<Socket>();
  let abandoned = false;
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    retry,
    logLevel: logLevel.INFO,
    logCreator: logInto(logger, presence, () => abandoned),
    socketFactory: ({ host, port, onConnect }) => {
      if (abandoned) throw new Error('this client was given up');
      const socket = connect({ host, port }, () => {
        presence.here = true;
        onConnect();
      });
      socket.setKeepAlive(true, 10_000);
      // Produce requests must not wait for the acknowledgement of the packet before them.
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', () => {
        if (!abandoned) presence.here = false;
      });
      socket.on('close', () => sockets.delete(socket));
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

const quietMs = 10_000;

/** kafkajs calls each attempt that fails an error; what it makes of it is told by us. */
const logInto =
  (logger: Logger, { said }: Presence, isQuiet: () => boolean): logCreator =>
  () =>
  ({ namespace, level, log: { message, timestamp: _timestamp, logger: _logger, ...rest } }) => {
    // It is right about us, and answered by a new producer after each failure.
    if (isQuiet() || message.startsWith('Limiting retries for the idempotent producer')) return;
    const now = performance.now();
    const before = said.get(message);
    if (before !== undefined && now - before < quietMs) return;
    if (said.size >= 200) said.clear();
    said.set(message, now);
    const fields = { ...rest, kafkajs: namespace };
    if (level === logLevel.ERROR) logger.warn(fields, message);
    else if (level === logLevel.WARN) logger.info(fields, message);
    else logger.debug(fields, message);
  };

/** The pause before attempt `attempt` (from 1): doubled from 0.1 s up to 10 s, with up to half of it taken off. */
export const pauseMs = (attempt: number): number =>
  Math.max(100, Math.min(10_000, 100 * 2 ** Math.min(attempt, 12)) * (0.5 + Math.random() / 2));

/** Resolves with `work`, or rejects with `what` once the time is over; the work goes on then. */
export const within = async <Result>(ms: number, what: string, work: Promise<Result>): Promise<Result> => {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${Math.round(ms)} ms`)), ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
};
