import { producerKey, producerPattern } from '@cinegraph/messaging/envelope';
import { subgraphKeyVariable } from '@cinegraph/service/env';
import { StartError } from '@cinegraph/service/start-error';
import { say } from '@cinegraph/service/terminal';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { isExternalProducer } from '../consumers/ratings-topic.js';

/**
 * `key`: prints the key with which an external producer signs its ratings, as base64url. Give it to that
 * producer and to nobody else.
 */
export const key: Command = {
  what: 'the derivation of the key',
  usage: ['key <producer>'],
  run: async ([producer, ...more], { variables }) => {
    if (producer === undefined || more.length > 0) return 'usage';
    if (!producerPattern.test(producer)) {
      throw new StartError(
        'The name of a producer has lower-case letters, digits and "-" only, and begins with a letter.',
      );
    }
    if (!isExternalProducer(producer)) {
      throw new StartError(`${producer} is a name that Cinegraph itself uses. Choose another one.`);
    }
    const { SUBGRAPH_KEY } = variables({ SUBGRAPH_KEY: subgraphKeyVariable });
    say(producerKey(SUBGRAPH_KEY, producer).toString('base64url'));
    return 0;
  },
};
