import { backoffMs } from '@cinegraph/service/backoff';
import type { Part } from '@cinegraph/service/parts';
import { pause } from '@cinegraph/service/timing';
import { BrokerRefused } from '../broker.js';
import { registerCodecs, unreadableBatchIn } from './codecs/index.js';
import { createSession, type Session, type SessionOptions } from './session.js';

/** Pauses 0.1 to 0.2 s after the first failed session, up to 10 s. */
const sessionBackoff = { firstMs: 200 };

/**
 * Returns a part that is a member of a consumer group while it is started. It runs one session after another:
 * whatever ends a session (an unavailable broker, an error that kafkajs calls final, 90 seconds without
 * activity), the next one starts after a pause. So consuming ends only when the part is stopped.
 */
export const createKafkaConsumer = (options: SessionOptions): Part => {
  const { subscription, logger, topics, connectionState } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let sessions: Promise<void> | undefined;
  let failures = 0;
  registerCodecs();

  /** Returns why the session ended; undefined if it was stopped. */
  const runSession = async (): Promise<unknown> => {
    let session: Session | undefined;
    try {
      const sessionMs = await unlessAborted(signal, topics.sessionMs());
      if (sessionMs === undefined) return undefined;
      session = createSession(options, { sessionMs, onJoined: () => (failures = 0) });
      await unlessAborted(signal, session.run());
      return undefined;
    } catch (error) {
      return unreadableBatchIn(error) ?? connectionState.explain(error);
    } finally {
      await session?.close();
    }
  };

  const runSessions = async (): Promise<void> => {
    for (;;) {
      const problem = await runSession();
      if (signal.aborted) return;
      const pauseMs = Math.round(backoffMs(failures, sessionBackoff));
      failures += 1;
      topics.forget();
      logger[levelOf(problem)](
        { err: problem, group: subscription.group, pauseMs },
        'a consumer session ended; the next one starts after a pause',
      );
      await pause(pauseMs, signal);
    }
  };

  return {
    name: `consumer ${subscription.group}`,
    start: async () => {
      sessions = runSessions();
    },
    stop: async () => {
      stopping.abort();
      await sessions;
    },
  };
};

/**
 * A refusal of the broker is already in the log, once; an unreadable batch stops its partition until someone
 * acts.
 */
const levelOf = (problem: unknown): 'debug' | 'error' | 'warn' => {
  if (problem instanceof BrokerRefused) return 'debug';
  return unreadableBatchIn(problem) ? 'error' : 'warn';
};

/** Resolves with the result of `work`, or with undefined as soon as the signal is aborted. */
const unlessAborted = async <Result>(
  signal: AbortSignal,
  work: Promise<Result>,
): Promise<Result | undefined> => {
  let stop = (): void => undefined;
  const aborted = new Promise<undefined>((resolve) => (stop = () => resolve(undefined)));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    // All sessions of an outage share the signal: their listeners would accumulate.
    signal.removeEventListener('abort', stop);
  }
};
