import type pg from 'pg';
import type { IncomingMessage, SubscriptionOptions } from '@cinegraph/messaging/broker';
import { createConsumer, type ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { silentLogger } from './silent-logger.js';

/** A consumer to which the test delivers messages in place of a broker. */
export interface Deliveries {
  readonly subscribed: SubscriptionOptions;
  /** Delivers one batch. Rejects if the consumer rejects it. */
  deliver(messages: readonly IncomingMessage[]): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a consumer on the database of `pool`, to which the test delivers batches at any time and in any
 * order.
 */
export const openDeliveries = async <Event>(
  tools: { readonly subgraph: string; readonly pool: pg.Pool },
  definition: ConsumerDefinition<Event>,
): Promise<Deliveries> => {
  const subscriptions: SubscriptionOptions[] = [];
  const part = createConsumer(
    {
      ...tools,
      logger: silentLogger,
      broker: {
        subscribe: (options) => {
          subscriptions.push(options);
          return { name: 'subscription', start: async () => undefined, stop: async () => undefined };
        },
      },
    },
    definition,
  );
  await part.start();
  const [subscribed] = subscriptions;
  if (!subscribed) throw new Error('The consumer has not subscribed.');
  return { subscribed, deliver: (messages) => subscribed.onBatch(messages), stop: () => part.stop() };
};
