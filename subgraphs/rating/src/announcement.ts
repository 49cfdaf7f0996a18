import { aggregatedRatingChanged } from '@cinegraph/events/rating';
import type { Announcement } from '@cinegraph/kit/announcement';
import { scoreColumns } from './merge.js';
import { migrations } from './migrations.js';

const { type, version, topic } = aggregatedRatingChanged;

/** Tells the aggregate of every movie that was ever rated. Behind the locks that the merge takes, in its order. */
export const aggregateAnnouncement: Announcement = {
  subgraph: 'rating',
  migrations,
  topic: topic.name,
  items: 'aggregated ratings',
  keys: 'SELECT movie_id AS key FROM aggregated_rating WHERE movie_id > $1 ORDER BY movie_id LIMIT $2',
  tell: `
    WITH locked AS (
      SELECT * FROM aggregated_rating WHERE movie_id = ANY ($1::text[])
      ORDER BY movie_id COLLATE "C" FOR UPDATE
    )
    INSERT INTO outbox (type, version, topic, key, payload)
    SELECT '${type}', ${version}, '${topic.name}', movie_id, jsonb_build_object('movieId', movie_id, 'sum', sum,
      'count', count, 'histogram', jsonb_build_array(${scoreColumns.join(', ')}), 'version', version)
    FROM locked WHERE version > 0 ORDER BY movie_id COLLATE "C"`,
};
