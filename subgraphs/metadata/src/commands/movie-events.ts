import { eventOf, type EventDefinition } from '@cinegraph/events/event';
import { movieChanged, movieCreated, movieDeleted, movieJoined } from '@cinegraph/events/metadata';
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
 * MovieChanged, MovieDeleted or MovieJoined.
 */
export const appendMovieStates = (which: string): string => `
  WITH locked AS (
    SELECT movie.id, version, title, release_year, joined_into,
      CASE WHEN joined_into IS NOT NULL THEN 'joined' WHEN deleted_at IS NOT NULL THEN 'deleted'
        WHEN which.added THEN 'added' ELSE 'changed' END AS state
    FROM movie JOIN (${which}) AS which ON which.id = movie.id
    ORDER BY movie.id COLLATE "C" FOR UPDATE OF movie
  )
  INSERT INTO messaging.outbox (type, version, topic, key, payload)
  SELECT event.type, event.version, event.topic, id,
    jsonb_build_object('movieId', id, 'version', locked.version) || CASE state
      WHEN 'deleted' THEN '{}'
      WHEN 'joined' THEN jsonb_build_object('into', joined_into)
      ELSE jsonb_build_object('title', title, 'releaseYear', release_year) END
  FROM locked JOIN (VALUES ('joined', ${header(movieJoined)}), ('deleted', ${header(movieDeleted)}),
    ('added', ${header(movieCreated)}), ('changed', ${header(movieChanged)})
  ) AS event (state, type, version, topic) USING (state)
  ORDER BY id COLLATE "C"`;
