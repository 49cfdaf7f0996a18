import type { Broker } from '@cinegraph/kit/broker';
import type { TopicDefinition } from '@cinegraph/kit/envelope';
import type { JobTools } from '@cinegraph/kit/job';
import { createLogger } from '@cinegraph/kit/logger';
import { openBroker } from '@cinegraph/kit/open-broker';

/** Opens the broker that the environment names, not started yet; it logs nothing, since a person reads the command's words. */
export const openCommandBroker = (
  { brokerAddress }: Pick<JobTools, 'brokerAddress'>,
  topics: readonly TopicDefinition[],
): Promise<Broker> => {
  const logger = createLogger({ name: 'rating', level: 'silent' });
  return openBroker({ clientId: 'rating', topics, logger }, brokerAddress());
};
