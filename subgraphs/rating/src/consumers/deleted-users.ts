import { createEventReader } from '@cinegraph/events/reader';
import { accounts, deadLettersOf } from '@cinegraph/events/topics';
import { userDeleted } from '@cinegraph/events/users';
import type { ConsumerDefinition } from '@cinegraph/messaging/consumer/consumer';
import { decodeEvents } from '@cinegraph/messaging/consumer/decode-events';
import type { Clock } from '@cinegraph/service/clock';
import { noteDeletedUsers } from '../remove-viewers.js';

/**
 * Defines the consumer of the topic of accounts. It notes which users have deleted their accounts; their
 * votes are removed by `createViewerRemoval`, because there may be many. A repeated event has no effect.
 */
export const createDeletedUsers = ({
  clock,
  secret,
  committed,
}: {
  readonly clock: Clock;
  /** The secret of the graph. Without it (never in production) signatures are not checked. */
  readonly secret: string | undefined;
  /** Called when votes may have to be removed. */
  readonly committed?: () => void;
}): ConsumerDefinition<string> => {
  const read = createEventReader({ secret, owner: 'users', definitions: [userDeleted] });
  return {
    name: 'deleted-users',
    topics: [accounts.name],
    deadLetterTopic: () => deadLettersOf(accounts).name,
    decode: decodeEvents(read, ({ data }) => data.userId),
    handle: async (tx, userIds) => {
      await noteDeletedUsers(tx, userIds, clock.now());
      return undefined;
    },
    ...(committed && { committed }),
  };
};
