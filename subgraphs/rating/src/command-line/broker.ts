import type { Broker } from '@cinegraph/messaging/broker';
import type { TopicDefinition } from '@cinegraph/messaging/envelope';
import type { JobTools } from '@cinegraph/subgraph/jobs/run-job';
import { createLogger } from '@cinegraph/service/logger';
import { openBroker } from '@cinegraph/messaging/open-broker';

/** Opens the broker that the environment names, not started yet; it logs nothing, since a person reads the command's words. */
export const openCommandBroker = (
  { brokerAddress }: Pick<JobTools, 'brokerAddress'>,
  topics: readonly TopicDefinition[],
): Promise<Broker> => {
  const logger = createLogger({ name: 'rating', level: 'silent' });
  return openBroker({ clientId: 'rating', topics, logger }, brokerAddress());
};
