import { StartError } from '@cinegraph/service/start-error';
import { subgraphKeyVariable } from '@cinegraph/service/env';
import { producerKey, producerPattern } from '@cinegraph/messaging/envelope';
import { isOutsideProducer } from '../consumers/ingest.js';
import type { RatingsCommand } from './command.js';

/** `key`: the key with which an outside producer signs its ratings, to be handed to it and to nobody else. */
export const key: RatingsCommand = {
  what: 'the making of the key',
  usage: `
  key <producer>    the key with which an outside producer signs, base64url; it rates as viewers <producer>:<user>`,
  run: async ([producer, ...more], { variables }) => {
    if (producer === undefined || more.length > 0) return 'usage';
    if (!producerPattern.test(producer)) {
      throw new StartError(
        'A producer is called by one word of small letters, digits and "-", beginning with a letter.',
      );
    }
    if (!isOutsideProducer(producer)) {
      throw new StartError(`${producer} is a name of our own. Call the outside producer by another word.`);
    }
    const { SUBGRAPH_KEY } = variables({ SUBGRAPH_KEY: subgraphKeyVariable });
    process.stdout.write(`${producerKey(SUBGRAPH_KEY, producer).toString('base64url')}\n`);
    return 0;
  },
};
