/**
 * Returns at most $2 movies of which the viewer $1 has a vote: one that counts, a retracted or a superseded
 * one.
 */
export const findVotesOfViewer = `
  SELECT movie_id AS "movieId" FROM (
    (SELECT movie_id FROM rating WHERE viewer_id = $1 AND score IS NOT NULL LIMIT $2::int)
    UNION (SELECT movie_id FROM rating WHERE viewer_id = $1 AND score IS NULL LIMIT $2::int)
    UNION (SELECT movie_id FROM superseded_rating WHERE viewer_id = $1 LIMIT $2::int)
  ) AS vote
  LIMIT $2::int`;

/**
 * Deletes the retracted and superseded votes of the viewer $1 for the movies $2 (text[]), whose aggregates
 * the transaction has locked. None of them counts.
 */
export const deleteVotes = `
  WITH superseded AS (
    DELETE FROM superseded_rating WHERE viewer_id = $1 AND movie_id = ANY ($2::text[])
  )
  DELETE FROM rating WHERE viewer_id = $1 AND score IS NULL AND movie_id = ANY ($2::text[])`;
