import { userDeleted } from '@cinegraph/events/users';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { migrations } from './migrations.js';

/** Publishes the deletion of every account that was deleted. */
export const deletionBackfill: Backfill = {
  subgraph: 'users',
  migrations,
  topic: userDeleted.topic.name,
  items: 'deleted accounts',
  keys: 'SELECT id AS key FROM deleted_account WHERE id > $1 ORDER BY id LIMIT $2',
  append: `
    INSERT INTO messaging.outbox (type, version, topic, key, payload)
    SELECT '${userDeleted.type}', ${userDeleted.version}, '${userDeleted.topic.name}', id,
      jsonb_build_object('userId', id)
    FROM deleted_account WHERE id = ANY ($1::text[]) ORDER BY id`,
};
