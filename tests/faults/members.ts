import { setTimeout as delay } from 'node:timers/promises';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import { systemClock } from '@cinegraph/service/clock';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import type { Part } from '@cinegraph/service/parts';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createIngest } from '@cinegraph/rating/consumers/ratings-topic';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import type { FaultRandom } from './support.js';
import type { FaultWorld } from './world.js';

/** The definition of rating's consumer of ratings. */
export const ingest = createIngest(
  { clock: systemClock },
  { secret: testSubgraphKey, scale: 10, idPrefix: '' },
);

/**
 * Starts a member of the group `<group>.ingest` in this process. It shares the inbox of all consumers of
 * ratings.
 */
export const enterIngest = async (
  { broker, pool }: Pick<FaultWorld, 'broker' | 'pool'>,
  group: string,
  definition = ingest,
): Promise<Part> => {
  const logger = silentLogger;
  const member = createConsumer({ subgraph: group, broker, pool, logger }, definition);
  await member.start();
  return member;
};

/**
 * Publishes the messages in small pieces until it is stopped, so that members always have work. A run that is
 * slow gets all of them again, from the first to the last, so that each viewer's last rating stays the same.
 * `stop` returns how many messages were published.
 */
export const keepPublishing = (
  world: Pick<FaultWorld, 'publish'>,
  random: FaultRandom,
  messages: readonly OutgoingMessage[],
): (() => Promise<number>) => {
  const stopping = new AbortController();
  const publishing = (async () => {
    let published = 0;
    const amidRepetition = () => published > messages.length && published % messages.length > 0;
    while (!stopping.signal.aborted || amidRepetition()) {
      const at = published % messages.length;
      // Some pieces are so large that their batch takes a while.
      const piece = messages.slice(at, at + (stopping.signal.aborted || random.percent(5) ? 600 : 5));
      await world.publish(piece);
      published += piece.length;
      if (!stopping.signal.aborted) await delay(random.int(20));
    }
    return published;
  })();
  publishing.catch(() => undefined);
  return () => {
    stopping.abort();
    return publishing;
  };
};
