import { aggregatedRatingChanged } from '@cinegraph/events/rating';
import type { Backfill } from '@cinegraph/messaging/outbox/backfill';
import { insertBundles } from '@cinegraph/messaging/outbox/append';
import { aggregateEvents, asShown } from './sql/merge.js';
import { migrations } from './migrations.js';

/**
 * Publishes the aggregate of every movie that was ever rated, as clients read it. It locks aggregates in
 * the order in which the merge locks them.
 */
export const aggregateBackfill: Backfill = {
  subgraph: 'rating',
  migrations,
  topic: aggregatedRatingChanged.topic.name,
  items: 'aggregated ratings',
  keys: 'SELECT movie_id AS key FROM aggregated_rating WHERE movie_id > $1 ORDER BY movie_id LIMIT $2',
  append: `
    WITH locked AS (
      SELECT *, NULL::text AS trace FROM aggregated_rating WHERE movie_id = ANY ($1::text[])
      ORDER BY movie_id COLLATE "C" FOR UPDATE
    ), rated AS (
      SELECT * FROM locked WHERE version > 0
    )
    ${insertBundles(aggregateEvents(asShown('rated')))}`,
};
