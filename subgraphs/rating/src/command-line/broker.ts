import type { Broker } from '@cinegraph/kit/broker';
import { databaseUrlVariable, kafkaBrokersVariable } from '@cinegraph/kit/env';
import type { TopicDefinition } from '@cinegraph/kit/envelope';
import { StartError } from '@cinegraph/kit/errors';
import type { JobTools } from '@cinegraph/kit/job';
import { createLogger } from '@cinegraph/kit/logger';
import { brokerAddressOf, openBroker } from '@cinegraph/kit/open-broker';

/** Opens the broker that the environment names, not started yet; it logs nothing, since a person reads the command's words. */
export const openCommandBroker = async (
  { variables }: Pick<JobTools, 'variables'>,
  topics: readonly TopicDefinition[],
): Promise<Broker> => {
  const address = brokerAddressOf(
    variables({
      KAFKA_BROKERS: kafkaBrokersVariable.optional(),
      DATABASE_URL_EVENTS: databaseUrlVariable.optional(),
    }),
  );
  if (!address) throw new StartError('Say where the broker is: set KAFKA_BROKERS or DATABASE_URL_EVENTS.');
  const logger = createLogger({ name: 'rating', level: 'silent' });
  return openBroker({ clientId: 'rating', topics, logger }, address);
};
