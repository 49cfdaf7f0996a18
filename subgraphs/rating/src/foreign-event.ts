import { isStorableText } from '@cinegraph/database/storable-text';
import { isScore } from './rules.js';

/** What whoever takes the events in knows of them. */
export interface EventRules {
  /** The top score of their scale: 10 as ours, or 5 with halves. */
  readonly scale: 5 | 10;
  /** Put before a record id without a colon. */
  readonly idPrefix: string;
}

/** The prefix of the viewers that these events speak for, who are none of our accounts. */
export const externalViewerPrefix = 'ratings:';

/** What an event of others says: a score of ours, or null where it takes the rating back. */
export interface ExternalRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
}

/** Why a value is no rating: a stable code, and a reason for people. */
export interface ExternalFault {
  readonly code:
    'NOT_AN_EVENT' | 'UNSUPPORTED_RECORD_TYPE' | 'UNSUPPORTED_EVENT_TYPE' | 'RATING_OUT_OF_RANGE';
  readonly reason: string;
}

/** Whether what was read is a fault. */
export const isExternalFault = (read: object | number): read is ExternalFault =>
  typeof read === 'object' && 'reason' in read;

/** A fault as one line of a report. */
export const faultText = ({ code, reason }: ExternalFault): string =>
  code === 'NOT_AN_EVENT' ? reason : `${code}: ${reason}`;

/** Whether a value is of one of the two dialects, well-formed or not: it names a user or a record in their way. */
export const looksExternal = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  ['userId', 'recordId', 'user_id', 'record_id'].some((name) => Object.hasOwn(value, name));

/**
 * A rating event of others as a rating of ours, or the fault that it has. The camelCase dialect says `put`, the
 * snake_case one `submit`, both `delete`. Its user becomes the viewer `ratings:<user>`.
 */
export const readExternalEvent = (event: unknown, rules: EventRules): ExternalRating | ExternalFault => {
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    return notAnEvent('it is no event');
  const read = event as Readonly<Record<string, unknown>>;
  const snake = 'record_id' in read || 'user_id' in read;
  const [user, record, type, kind] = snake
    ? (['user_id', 'record_id', 'record_type', 'event_type'] as const)
    : (['userId', 'recordId', 'recordType', 'eventType'] as const);
  const userId = idOf(read[user]);
  if (userId === undefined) return notAnEvent(`${user} is missing or no id`);
  const recordId = idOf(read[record]);
  if (recordId === undefined) return notAnEvent(`${record} is missing or no id`);
  if (read[type] !== 'movie') return { code: 'UNSUPPORTED_RECORD_TYPE', reason: `${type} must be "movie"` };
  const movieId = recordId.includes(':') ? recordId : `${rules.idPrefix}${recordId}`;
  const rating = { movieId, viewerId: `${externalViewerPrefix}${userId}` };
  const put = snake ? 'submit' : 'put';
  if (read[kind] === 'delete') return { ...rating, score: null };
  if (read[kind] !== put)
    return { code: 'UNSUPPORTED_EVENT_TYPE', reason: `${kind} must be "${put}" or "delete"` };
  const score = scoreOf(read['value'], rules.scale);
  return isExternalFault(score) ? score : { ...rating, score };
};

/** A value on a scale of this top as a score of ours, from 1 to 10, or the fault that it has. */
export const scoreOf = (value: unknown, scale: 5 | 10): number | ExternalFault => {
  if (typeof value !== 'number') return notAnEvent('the value is no number');
  const score = scale === 5 ? value * 2 : value;
  if (isScore(score)) return score;
  return {
    code: 'RATING_OUT_OF_RANGE',
    reason:
      scale === 5
        ? `${value} is no half or whole number from 0.5 to 5`
        : `${value} is no whole number from 1 to 10`,
  };
};

const notAnEvent = (reason: string): ExternalFault => ({ code: 'NOT_AN_EVENT', reason });

const idOf = (value: unknown): string | undefined => {
  const id = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof id !== 'string' || id.length === 0 || id.length > 128) return undefined;
  // " 1" would be another viewer than "1", with a vote of his own.
  return id.trim() === id && isStorableText(id) ? id : undefined;
};
