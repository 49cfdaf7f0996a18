import { eventOf, type EventDefinition } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted } from '@cinegraph/events/metadata';
import { appendToOutbox } from '@cinegraph/messaging/outbox/append';
import { currentTrace } from '@cinegraph/service/telemetry/tracing';
import type { Prisma } from '../generated/prisma/client.js';
import type { MovieModel } from '../models.js';

/**
 * Appends MovieCreated or MovieChanged to the outbox in the open transaction. The transaction must hold the
 * movie's row lock, so that the events of a movie are in the order of its versions.
 */
export const appendMovieEvent = (
  tx: Prisma.TransactionClient,
  definition: typeof movieCreated,
  { id, version, title, releaseYear }: MovieModel,
): Promise<void> =>
  appendToOutbox(tx, [eventOf(definition, id, { movieId: id, version, title, releaseYear })], currentTrace());

/** Appends MovieDeleted to the outbox in the open transaction, which must hold the movie's row lock. */
export const appendDeletion = (tx: Prisma.TransactionClient, id: string, version: number): Promise<void> =>
  appendToOutbox(tx, [eventOf(movieDeleted, id, { movieId: id, version })], currentTrace());

const header = ({ type, version, topic }: Pick<EventDefinition, 'type' | 'version' | 'topic'>): string =>
  `'${type}', ${version}, '${topic.name}'`;

/**
 * Returns a statement that locks many movies and appends an event of the present state of each to the outbox.
 * `which` is a query with the rows (id, added). A movie with `added` gets MovieCreated, another one
 * MovieChanged or MovieDeleted.
 */
export const appendMovieStates = (which: string): string => `
  WITH locked AS (
    SELECT movie.id, version, title, release_year, deleted_at IS NOT NULL AS deleted, which.added
    FROM movie JOIN (${which}) AS which ON which.id = movie.id
    ORDER BY movie.id COLLATE "C" FOR UPDATE OF movie
  )
  INSERT INTO messaging.outbox (type, version, topic, key, payload)
  SELECT event.type, event.version, event.topic, id,
    jsonb_build_object('movieId', id, 'version', locked.version) || CASE WHEN deleted THEN '{}'
      ELSE jsonb_build_object('title', title, 'releaseYear', release_year) END
  FROM locked JOIN (VALUES (true, true, ${header(movieDeleted)}), (true, false, ${header(movieDeleted)}),
    (false, true, ${header(movieCreated)}), (false, false, ${header(movieChanged)})
  ) AS event (deleted, added, type, version, topic) USING (deleted, added)
  ORDER BY id COLLATE "C"`;
