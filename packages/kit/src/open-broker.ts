import type { Broker, BrokerTools } from './broker.js';
import { databaseUrlVariable, kafkaBrokersVariable } from './env.js';

/** Where the broker is: Kafka on these addresses, or the log in the PostgreSQL database at this URL. */
export type BrokerAddress = { readonly kafka: readonly string[] } | { readonly url: string };

/**
 * The variables that say where the broker is, for a process that needs one: `KAFKA_BROKERS` where it is set in
 * `environment`, else `DATABASE_URL_EVENTS`.
 */
export const brokerVariables = (environment: NodeJS.ProcessEnv) => {
  const log = databaseUrlVariable.describe('is not set, but needed where KAFKA_BROKERS is not set');
  return {
    KAFKA_BROKERS: kafkaBrokersVariable.optional(),
    DATABASE_URL_EVENTS: environment['KAFKA_BROKERS'] ? log.optional() : log,
  };
};

/** The broker that the variables, once read, name; undefined where they name none. */
export const brokerAddressOf = (env: {
  readonly KAFKA_BROKERS?: readonly string[] | undefined;
  readonly DATABASE_URL_EVENTS?: string | undefined;
}): BrokerAddress | undefined => {
  if (env.KAFKA_BROKERS) return { kafka: env.KAFKA_BROKERS };
  return env.DATABASE_URL_EVENTS === undefined ? undefined : { url: env.DATABASE_URL_EVENTS };
};

/** Opens the broker at that address; nothing is asked of it before it is started. Loads only the client that it takes. */
export const openBroker = async (tools: BrokerTools, address: BrokerAddress): Promise<Broker> => {
  if ('kafka' in address) {
    const { openKafkaBroker } = await import('./broker-kafka.js');
    return openKafkaBroker({ ...tools, brokers: address.kafka });
  }
  const { openPostgresBroker } = await import('./broker-postgres.js');
  return openPostgresBroker({ ...tools, url: address.url });
};
