import type { Broker, BrokerOptions } from './broker.js';
import { databaseUrlVariable, kafkaBrokersVariable, readEnv } from '@cinegraph/service/env';
import { kafkaSecurityOf, kafkaSecurityVariables, type KafkaSecurity } from './kafka/security.js';

/** Where the broker is: Kafka on these addresses, or the log in the PostgreSQL database at this URL. */
export type BrokerAddress =
  ({ readonly kafka: readonly string[] } & KafkaSecurity) | { readonly url: string };

/**
 * The variables that say where the broker is, for a process that needs one: `KAFKA_BROKERS` where it is set in
 * `environment`, with what that Kafka wants (`KAFKA_TLS`, `KAFKA_USERNAME`, …), else `DATABASE_URL_EVENTS`.
 */
export const brokerVariables = (environment: NodeJS.ProcessEnv) => {
  const log = databaseUrlVariable.describe('is not set, but needed where KAFKA_BROKERS is not set');
  return {
    KAFKA_BROKERS: kafkaBrokersVariable.optional(),
    ...kafkaSecurityVariables(environment),
    DATABASE_URL_EVENTS: environment['KAFKA_BROKERS'] ? log.optional() : log,
  };
};

/** The broker that the variables, once read, name; undefined where they name none. */
export const brokerAddressOf = (
  env: Parameters<typeof kafkaSecurityOf>[0] & {
    readonly KAFKA_BROKERS?: readonly string[] | undefined;
    readonly DATABASE_URL_EVENTS?: string | undefined;
  },
): BrokerAddress | undefined => {
  if (env.KAFKA_BROKERS) return { kafka: env.KAFKA_BROKERS, ...kafkaSecurityOf(env) };
  return env.DATABASE_URL_EVENTS === undefined ? undefined : { url: env.DATABASE_URL_EVENTS };
};

/** The broker that this environment names; throws a `StartError` that tells all that is missing or wrong. */
export const readBrokerAddress = (environment: NodeJS.ProcessEnv): BrokerAddress => {
  const address = brokerAddressOf(readEnv(brokerVariables(environment), environment));
  if (!address) throw new Error('no broker is named, though the variables were read');
  return address;
};

/** Opens the broker at that address; nothing is asked of it before it is started. Loads only the client that it takes. */
export const openBroker = async (tools: BrokerOptions, address: BrokerAddress): Promise<Broker> => {
  if ('kafka' in address) {
    const { openKafkaBroker } = await import('./kafka/broker.js');
    const { kafka: brokers, tls, sasl } = address;
    return openKafkaBroker({ ...tools, brokers, tls, sasl });
  }
  const { openPostgresBroker } = await import('./postgres/broker.js');
  return openPostgresBroker({ ...tools, url: address.url });
};
