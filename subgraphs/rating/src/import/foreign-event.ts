import { isStorableText } from '@cinegraph/kit/text';
import { isScore } from '../rules.js';
import type { StagedRating } from './staging.js';

/** What the person who imports knows of the events. */
export interface EventRules {
  /** The top score of their scale: 10 as ours, or 5 with halves. */
  readonly scale: 5 | 10;
  /** Put before a record id without a colon. */
  readonly idPrefix: string;
}

/**
 * A rating event of others as a rating of ours, or the reason why it is none. The camelCase dialect says `put`, the
 * snake_case one `submit`, both `delete`. Its user becomes the viewer `ratings:<user>`, who is none of our accounts.
 */
export const readEvent = (event: unknown, rules: EventRules): StagedRating | string => {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return 'it is no event';
  const read = event as Readonly<Record<string, unknown>>;
  const snake = 'record_id' in read || 'user_id' in read;
  const [user, record, type, kind] = snake
    ? (['user_id', 'record_id', 'record_type', 'event_type'] as const)
    : (['userId', 'recordId', 'recordType', 'eventType'] as const);
  const userId = idOf(read[user]);
  if (userId === undefined) return `${user} is missing or no id`;
  const recordId = idOf(read[record]);
  if (recordId === undefined) return `${record} is missing or no id`;
  if (read[type] !== 'movie') return `UNSUPPORTED_RECORD_TYPE: ${type} must be "movie"`;
  const movieId = recordId.includes(':') ? recordId : `${rules.idPrefix}${recordId}`;
  const rating = { movieId, viewerId: `ratings:${userId}`, eventTime: null };
  const put = snake ? 'submit' : 'put';
  if (read[kind] === 'delete') return { ...rating, score: null };
  if (read[kind] !== put) return `${kind} must be "${put}" or "delete"`;
  const score = scoreOf(read['value'], rules.scale);
  return typeof score === 'number' ? { ...rating, score } : score;
};

/** A value on a scale of this top as a score of ours, from 1 to 10, or the reason why it is none. */
export const scoreOf = (value: unknown, scale: 5 | 10): number | string => {
  if (typeof value !== 'number') return 'the value is no number';
  const score = scale === 5 ? value * 2 : value;
  if (isScore(score)) return score;
  return scale === 5
    ? `RATING_OUT_OF_RANGE: ${value} is no half or whole number from 0.5 to 5`
    : `RATING_OUT_OF_RANGE: ${value} is no whole number from 1 to 10`;
};

const idOf = (value: unknown): string | undefined => {
  const id = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof id !== 'string' || id.length === 0 || id.length > 128) return undefined;
  // " 1" would be another viewer than "1", with a vote of his own.
  return id.trim() === id && isStorableText(id) ? id : undefined;
};
