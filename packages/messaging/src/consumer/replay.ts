import type pg from 'pg';
import { retryOnConflict } from '@cinegraph/database/retry-on-conflict';
import { isConflict, isStoreBroken, isUnavailable } from '@cinegraph/database/store-errors';
import { inTransaction, type RawTransaction } from '@cinegraph/database/transaction';
import type { Logger } from '@cinegraph/service/logger';
import { decodeMessage, handlerFailed, type ConsumerDefinition } from './consumer.js';
import { findDeadLetter, maxReasonLength, shortText, type MessageFault } from './dead-letters.js';
import { claimDedupKeys, releaseDedupKey } from './inbox.js';

/**
 * The result of a replay: handled now; a `duplicate` of an event that another message has brought meanwhile;
 * refused again, and still open; or not an open dead letter of this consumer.
 */
export type ReplayOutcome =
  | { readonly outcome: 'replayed' | 'duplicate' | 'not open' }
  | ({ readonly outcome: 'refused' } & MessageFault);

/**
 * Passes a dead letter to the decoder and handler of its consumer again, as the original message, with its
 * topic, partition, offset and time. Its effect and its new state are one transaction with a lock on the dead
 * letter, so that a concurrent or later replay does nothing. Rejects, without any effect, while the database
 * is unavailable or broken.
 */
export const replayDeadLetter = async <Event>(
  tools: { readonly pool: pg.Pool; readonly logger: Logger },
  definition: ConsumerDefinition<Event>,
  id: string,
): Promise<ReplayOutcome> => {
  const { pool, logger } = tools;
  try {
    return await retryOnConflict(() => inTransaction(pool, (tx) => replayIn(tx, definition, id, logger)));
  } catch (error) {
    if (isConflict(error) || isUnavailable(error) || isStoreBroken(error)) throw error;
    logger.error({ err: error, id }, 'a dead letter could not be handled');
    return inTransaction(pool, async (tx) => {
      const letter = await findDeadLetter(tx, id, { locked: true });
      return letter?.state === 'open' ? refuseAgain(tx, id, handlerFailed) : { outcome: 'not open' };
    });
  }
};

const replayIn = async <Event>(
  tx: RawTransaction,
  definition: ConsumerDefinition<Event>,
  id: string,
  logger: Logger,
): Promise<ReplayOutcome> => {
  const letter = await findDeadLetter(tx, id, { locked: true });
  if (letter?.state !== 'open' || letter.consumer !== definition.name) return { outcome: 'not open' };
  const decoded = decodeMessage(definition, letter.message, logger);
  if (decoded && !('event' in decoded)) return refuseAgain(tx, id, decoded);
  if (decoded) {
    // A message that could not be decoded before may now be an event that another message has brought, too.
    const renamed = decoded.dedupKey !== letter.dedupKey;
    if (renamed && (await claimDedupKeys(tx, definition.name, [decoded.dedupKey])).size === 0) {
      await close(tx, id);
      return { outcome: 'duplicate' };
    }
    const [refusal] = (await definition.handle(tx, [decoded.event])) ?? [];
    if (refusal) {
      if (renamed) await releaseDedupKey(tx, definition.name, decoded.dedupKey);
      return refuseAgain(tx, id, { code: refusal.code, reason: refusal.message });
    }
  }
  await close(tx, id);
  return { outcome: 'replayed' };
};

const close = (tx: RawTransaction, id: string) =>
  tx.$executeRawUnsafe(
    `UPDATE dead_letter SET state = 'replayed', updated_at = now() WHERE id = $1::bigint`,
    id,
  );

const refuseAgain = async (
  tx: RawTransaction,
  id: string,
  { code, reason }: MessageFault,
): Promise<ReplayOutcome> => {
  await tx.$executeRawUnsafe(
    `UPDATE dead_letter SET code = $2, reason = $3, updated_at = now() WHERE id = $1::bigint`,
    id,
    code,
    shortText(reason, maxReasonLength),
  );
  return { outcome: 'refused', code, reason };
};
