import { setTimeout as delay } from 'node:timers/promises';
import type { SubscriptionOptions } from '../broker.js';
import type { Logger } from '@cinegraph/service/logger';
import { openConsumerSession, type LogSession } from './consumer.js';
import type { LogStore } from './store.js';
import type { Part } from '@cinegraph/service/parts';

/** How long a stop waits for batches under way; what is not done then is not committed and comes to the next member. */
const stopTimeoutMs = 8_000;

/**
 * A member of a consumer group of the log in PostgreSQL. It lives in sessions, each with a connection of its own that holds
 * what the member owns (session.ts); when one ends by a fault, the batches under way are waited for and another begins.
 */
export const createGroupMember = (
  tools: {
    readonly url: string;
    readonly clientId: string;
    readonly logger: Logger;
    readonly store: LogStore;
  },
  options: SubscriptionOptions,
): Part => {
  const { store, logger } = tools;
  const { group, topics } = options;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const live = async () => {
    let backOffMs = 100;
    let told = false;
    while (!stopping.signal.aborted) {
      let session: LogSession | undefined;
      try {
        await store.use(() => store.addTopics(topics));
        session = await openConsumerSession(tools, options, stopping.signal);
        backOffMs = 100;
        told = false;
        await session.run();
      } catch (error) {
        // Once an outage.
        if (!told) logger.warn({ err: error, group }, 'a consumer lost the log and tries again');
        told = true;
      }
      await session?.close();
      await delay(backOffMs * (0.5 + Math.random()), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
      backOffMs = Math.min(backOffMs * 2, 2_000);
    }
  };

  return {
    name: `consumer ${group}`,
    start: async () => {
      running = live();
    },
    stop: async () => {
      stopping.abort();
      const over = new AbortController();
      await Promise.race([
        running,
        delay(stopTimeoutMs, undefined, { signal: over.signal }).catch(() => undefined),
      ]);
      over.abort();
    },
  };
};
