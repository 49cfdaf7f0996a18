import { databaseUrlVariable, kafkaBrokersVariable, readEnv } from '@cinegraph/service/env';
import type { Broker, BrokerOptions } from './broker.js';
import { kafkaSecurityOf, kafkaSecurityVariables, type KafkaSecurity } from './kafka/security.js';

/**
 * The address of the broker: Kafka's bootstrap brokers, or the URL of the PostgreSQL database that serves as
 * broker.
 */
export type BrokerAddress =
  ({ readonly kafka: readonly string[] } & KafkaSecurity) | { readonly url: string };

/**
 * Returns the variables that a process with a broker reads: `KAFKA_BROKERS` and Kafka's security
 * (`KAFKA_TLS`, `KAFKA_USERNAME`, …), and `DATABASE_URL_EVENTS`, which is required if `KAFKA_BROKERS` is not
 * set in `environment`.
 */
export const brokerVariables = (environment: NodeJS.ProcessEnv) => {
  const databaseUrl = databaseUrlVariable.describe('is not set, but needed where KAFKA_BROKERS is not set');
  return {
    KAFKA_BROKERS: kafkaBrokersVariable.optional(),
    ...kafkaSecurityVariables(environment),
    DATABASE_URL_EVENTS: environment['KAFKA_BROKERS'] ? databaseUrl.optional() : databaseUrl,
  };
};

/** Returns the address in these variables, once they are read; undefined if they contain none. */
export const brokerAddressOf = (
  env: Parameters<typeof kafkaSecurityOf>[0] & {
    readonly KAFKA_BROKERS?: readonly string[] | undefined;
    readonly DATABASE_URL_EVENTS?: string | undefined;
  },
): BrokerAddress | undefined => {
  if (env.KAFKA_BROKERS) return { kafka: env.KAFKA_BROKERS, ...kafkaSecurityOf(env) };
  return env.DATABASE_URL_EVENTS === undefined ? undefined : { url: env.DATABASE_URL_EVENTS };
};

/**
 * Reads the address from the environment. Throws a `StartError` that lists every missing or invalid variable.
 */
export const readBrokerAddress = (environment: NodeJS.ProcessEnv): BrokerAddress => {
  const address = brokerAddressOf(readEnv(brokerVariables(environment), environment));
  if (!address) throw new Error('the variables were read, but contain no address of a broker');
  return address;
};

/**
 * Creates the broker at this address, without connecting to it. Loads only the client that the address
 * requires.
 */
export const openBroker = async (options: BrokerOptions, address: BrokerAddress): Promise<Broker> => {
  if ('kafka' in address) {
    const { openKafkaBroker } = await import('./kafka/broker.js');
    const { kafka: brokers, tls, sasl } = address;
    return openKafkaBroker({ ...options, brokers, tls, sasl });
  }
  const { openPostgresBroker } = await import('./postgres/broker.js');
  return openPostgresBroker({ ...options, url: address.url });
};
