import type { Broker, BrokerTools } from './broker.js';
import type { KafkaClientOptions, Presence } from './kafka/client.js';
import { createKafkaConsumer } from './kafka/consumer.js';
import { openKafkaPublisher } from './kafka/producer.js';
import { openKafkaTopics } from './kafka/topics.js';

/**
 * The seam on Apache Kafka. `brokers` are `host:port`, any of the cluster. Missing topics are created with eight partitions, on
 * up to three brokers, with the times of the broker. Nothing waits for the cluster but `publish`, `ends` and `positions`, which
 * reject when it does not answer in time (30, 15 and 15 seconds); consumers try for ever.
 */
export const openKafkaBroker = (options: BrokerTools & { readonly brokers: readonly string[] }): Broker => {
  const { clientId, brokers, logger } = options;
  const presence: Presence = { here: false, said: new Map() };
  const client: KafkaClientOptions = { clientId, brokers, logger, presence };
  const topics = openKafkaTopics({ ...client, topics: options.topics });
  const publisher = openKafkaPublisher({ ...client, topics, definitions: options.topics });
  return {
    part: {
      name: 'broker',
      start: async () => {
        // Whoever publishes or consumes does it again; here it only spares the first one the time.
        topics
          .ensure(options.topics.map(({ name }) => name))
          .catch((error: unknown) => logger.warn({ err: error }, 'the broker does not answer yet'));
      },
      stop: async () => {
        await publisher.stop();
        await topics.stop();
      },
    },
    publish: publisher.publish,
    subscribe: (subscription) => createKafkaConsumer({ ...client, topics, subscription }),
    ends: topics.ends,
    positions: topics.positions,
    answers: () => presence.here,
  };
};
