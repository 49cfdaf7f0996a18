import { setTimeout as delay } from 'node:timers/promises';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import { systemClock } from '@cinegraph/service/clock';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { createLogger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import { createIngest } from '@cinegraph/rating/consumers/ratings-topic';
import type { Chance } from './support.js';
import type { FaultWorld } from './world.js';

/** What rating's consumer of ratings does. */
export const ingest = createIngest(
  { clock: systemClock },
  { secret: testSubgraphKey, scale: 10, idPrefix: '' },
);

/** Starts a member of the group `<group>.ingest` within this process; its inbox is that of every ingest. */
export const enterIngest = async (
  { broker, pool }: Pick<FaultWorld, 'broker' | 'pool'>,
  group: string,
  definition = ingest,
): Promise<Part> => {
  const logger = createLogger({ name: group, level: 'silent' });
  const member = createConsumer({ subgraph: group, broker, pool, logger }, definition);
  await member.start();
  return member;
};

/**
 * Publishes little by little until it is stopped, so that members always have something under way; stopped, it answers how
 * many of the messages are out.
 */
export const keepPublishing = (
  world: Pick<FaultWorld, 'publish'>,
  chance: Chance,
  messages: readonly OutgoingMessage[],
): (() => Promise<number>) => {
  const stopping = new AbortController();
  const publishing = (async () => {
    let at = 0;
    while (at < messages.length && !stopping.signal.aborted) {
      // Now and then so many that a batch of them is under way for a while.
      const end = at + (chance.percent(5) ? 600 : 5);
      await world.publish(messages.slice(at, end));
      at = end;
      await delay(chance.int(20));
    }
    return Math.min(at, messages.length);
  })();
  publishing.catch(() => undefined);
  return () => {
    stopping.abort();
    return publishing;
  };
};
