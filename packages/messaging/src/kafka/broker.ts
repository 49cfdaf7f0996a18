import { BrokerRefused, type Broker, type BrokerOptions } from '../broker.js';
import type { KafkaClientOptions } from './client.js';
import { createConnectionState } from './connection-state.js';
import { createKafkaConsumer } from './consumer.js';
import { openKafkaPublisher } from './producer.js';
import type { KafkaSecurity } from './security.js';
import { openKafkaTopics } from './topics.js';

/**
 * Opens the broker on Apache Kafka. `brokers` are `host:port` of any brokers of the cluster. Missing topics
 * are created with eight partitions and up to three replicas. A wrong password or an untrusted certificate
 * rejects with {@link BrokerRefused} and is logged once. Consumers retry for ever; the other methods reject
 * if the cluster does not respond: `publish` after 30 seconds, `endOffsets` and `positions` after 15.
 */
export const openKafkaBroker = (
  options: BrokerOptions & KafkaSecurity & { readonly brokers: readonly string[] },
): Broker => {
  const { clientId, brokers, tls, sasl, logger } = options;
  const connectionState = createConnectionState(logger);
  const client: KafkaClientOptions = { clientId, brokers, tls, sasl, logger, connectionState };
  const topics = openKafkaTopics({ ...client, topics: options.topics });
  const publisher = openKafkaPublisher({ ...client, topics, definitions: options.topics });
  return {
    part: {
      name: 'broker',
      start: async () => {
        // Publishers and consumers do this as well; here it only saves the first of them the time.
        topics.ensure(options.topics.map(({ name }) => name)).catch((error: unknown) => {
          if (error instanceof BrokerRefused) return;
          logger.warn({ err: error }, 'the broker is not available yet');
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
    answers: connectionState.isAvailable,
  };
};
