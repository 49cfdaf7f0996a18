import type pg from 'pg';
import type { IncomingMessage, SubscriptionOptions } from '@cinegraph/messaging/broker';
import { createConsumer, type ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { silentLogger } from './silent-logger.js';

/** A consumer whose broker is the test. */
export interface Deliveries {
  readonly subscribed: SubscriptionOptions;
  /** Hands it a batch as a broker does; rejects as a broker would see it. */
  deliver(messages: readonly IncomingMessage[]): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a consumer on the database of `pool` that gets what the test delivers, when and in what order it
 * likes.
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
  if (!subscribed) throw new Error('the consumer has not subscribed');
  return { subscribed, deliver: (messages) => subscribed.onBatch(messages), stop: () => part.stop() };
};
