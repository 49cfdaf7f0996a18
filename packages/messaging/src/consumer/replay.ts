import type pg from 'pg';
import { decodeMessage, handlerFailed, type ConsumerDefinition } from './consumer.js';
import { findDeadLetter, maxReasonLength, shortText, type MessageFault } from './dead-letters.js';
import { isConflict, isUnavailable, isStoreBroken } from '@cinegraph/database/store-errors';
import type { RawTransaction } from '@cinegraph/database/transaction';
import { claimDedupKeys, releaseDedupKey } from './inbox.js';
import type { Logger } from '@cinegraph/service/logger';
import { inTransaction } from '@cinegraph/database/transaction';

/**
 * What a replay came to: taken in now; a `duplicate` of what another message has brought meanwhile; refused again, and open
 * still; or not an open letter of this consumer.
 */
export type ReplayOutcome =
  | { readonly outcome: 'replayed' | 'duplicate' | 'not open' }
  | ({ readonly outcome: 'refused' } & MessageFault);

const maxConflicts = 5;

/**
 * Hands a dead letter to its consumer's decode and handle again, as the message that it was: identity, topic, partition,
 * offset and time are those of then. Effect and state change are one transaction under a lock of the letter, so that a second
 * replay, at once or later, does nothing. Rejects while the store is away or broken, with nothing done.
 */
export const replayDeadLetter = async <Event>(
  tools: { readonly pool: pg.Pool; readonly logger: Logger },
  definition: ConsumerDefinition<Event>,
  id: string,
  conflicts = 0,
): Promise<ReplayOutcome> => {
  const { pool, logger } = tools;
  try {
    return await inTransaction(pool, (tx) => replayIn(tx, definition, id, logger));
  } catch (error) {
    if (isConflict(error) && conflicts + 1 < maxConflicts) {
      return replayDeadLetter(tools, definition, id, conflicts + 1);
    }
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
    // It may be known by more now than it was then: an event that could not be read has an id of its own since.
    const renamed = decoded.identity !== letter.identity;
    if (renamed && (await claimDedupKeys(tx, definition.name, [decoded.identity])).size === 0) {
      await close(tx, id);
      return { outcome: 'duplicate' };
    }
    const [refusal] = (await definition.handle(tx, [decoded.event])) ?? [];
    if (refusal) {
      if (renamed) await releaseDedupKey(tx, definition.name, decoded.identity);
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
