import { BrokerRefused, type Broker, type BrokerOptions } from '../broker.js';
import type { KafkaClientOptions } from './client.js';
import { createKafkaConsumer } from './session.js';
import { createConnectionState } from './connection-state.js';
import { openKafkaPublisher } from './producer.js';
import type { KafkaSecurity } from './security.js';
import { openKafkaTopics } from './topics.js';

/**
 * The seam on Apache Kafka. `brokers` are `host:port`, any of the cluster. Missing topics are created with eight partitions, on
 * up to three brokers, with the times of the broker. What only a person can end (a wrong password, an unknown certificate) rejects
 * with {@link BrokerRefused}, and is in the log once. Nothing waits for the cluster but `publish`, `endOffsets` and `positions`, which
 * reject when it does not answer in time (30, 15 and 15 seconds); consumers try for ever.
 */
export const openKafkaBroker = (
  options: BrokerOptions & KafkaSecurity & { readonly brokers: readonly string[] },
): Broker => {
  const { clientId, brokers, tls, sasl, logger } = options;
  const presence = createConnectionState(logger);
  const client: KafkaClientOptions = { clientId, brokers, tls, sasl, logger, presence };
  const topics = openKafkaTopics({ ...client, topics: options.topics });
  const publisher = openKafkaPublisher({ ...client, topics, definitions: options.topics });
  return {
    part: {
      name: 'broker',
      start: async () => {
        // Whoever publishes or consumes does it again; here it only spares the first one the time.
        topics.ensure(options.topics.map(({ name }) => name)).catch((error: unknown) => {
          if (!(error instanceof BrokerRefused))
            logger.warn({ err: error }, 'the broker does not answer yet');
        });
      },
      stop: async () => {
        await publisher.stop();
        await topics.stop();
      },
    },
    publish: publisher.publish,
    subscribe: (subscription) => createKafkaConsumer({ ...client, topics, subscription }),
    endOffsets: topics.endOffsets,
    positions: topics.positions,
    answers: presence.isHere,
  };
};
