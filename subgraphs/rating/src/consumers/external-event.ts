import { isStorableText } from '@cinegraph/database/storable-text';
import { Refusal } from '@cinegraph/service/refusal';
import { isMovieId, scoreOf } from '../rules.js';

/** The settings by which external rating events are read. */
export interface EventRules {
  /** The highest score of the source: 10, or 5 with half steps. */
  readonly scale: 5 | 10;
  /** Put before a record id that has no colon and is no id of ours. */
  readonly idPrefix: string;
}

/** The prefix of the viewers of external events. No account of ours has it. */
export const externalViewerPrefix = 'ratings:';

/** The content of an external event; `score` is null if the rating is retracted. */
export interface ExternalRating {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number | null;
  /** Who published the event, if it says so. */
  readonly provider: string | null;
}

/** The reason why a value is not a rating event: a stable code, and a sentence for people. */
export interface ExternalFault {
  readonly code:
    'NOT_AN_EVENT' | 'UNSUPPORTED_RECORD_TYPE' | 'UNSUPPORTED_EVENT_TYPE' | 'RATING_OUT_OF_RANGE';
  readonly reason: string;
}

/** Returns whether the result of `readExternalEvent` is a fault. */
export const isExternalFault = (read: ExternalRating | ExternalFault): read is ExternalFault =>
  'reason' in read;

/** Returns the fault as one line of a report. */
export const faultText = ({ code, reason }: ExternalFault): string =>
  code === 'NOT_AN_EVENT' ? reason : `${code}: ${reason}`;

/**
 * Returns whether a value belongs to one of the two dialects, well-formed or not: whether it has one of
 * their names for a user or a record.
 */
export const looksExternal = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  ['userId', 'recordId', 'user_id', 'record_id'].some((name) => Object.hasOwn(value, name));

/**
 * Reads an external rating event. Returns its rating or its fault. The camelCase dialect has the event types
 * `put` and `delete`, the snake_case dialect `submit` and `delete`. The user becomes the viewer
 * `ratings:<user>`.
 */
export const readExternalEvent = (event: unknown, rules: EventRules): ExternalRating | ExternalFault => {
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    return notAnEvent('it is not an event');
  const fields = event as Readonly<Record<string, unknown>>;
  const snake = 'record_id' in fields || 'user_id' in fields;
  const [user, record, recordType, eventType, provider] = snake
    ? (['user_id', 'record_id', 'record_type', 'event_type', 'provider_id'] as const)
    : (['userId', 'recordId', 'recordType', 'eventType', 'providerId'] as const);
  const userId = idOf(fields[user]);
  if (userId === undefined) return notAnEvent(`${user} is missing or not an id`);
  const recordId = idOf(fields[record]);
  if (recordId === undefined || !isMovieId(recordId)) return notAnEvent(`${record} is missing or not an id`);
  if (fields[recordType] !== 'movie')
    return { code: 'UNSUPPORTED_RECORD_TYPE', reason: `${recordType} must be "movie"` };
  const providerId = fields[provider] === undefined || fields[provider] === '' ? null : fields[provider];
  const named = providerId === null ? null : idOf(providerId);
  if (named === undefined) return notAnEvent(`${provider} is not an id`);
  const rating = {
    movieId: movieIdOf(recordId, rules),
    viewerId: `${externalViewerPrefix}${userId}`,
    provider: named,
  };
  if (fields[eventType] === 'delete') return { ...rating, score: null };
  const put = snake ? 'submit' : 'put';
  if (fields[eventType] !== put)
    return { code: 'UNSUPPORTED_EVENT_TYPE', reason: `${eventType} must be "${put}" or "delete"` };
  const value = fields['value'];
  if (typeof value !== 'number') return notAnEvent('the value is not a number');
  const score = scoreOf(value, rules.scale);
  return score instanceof Refusal
    ? { code: 'RATING_OUT_OF_RANGE', reason: score.message }
    : { ...rating, score };
};

/** The ids that metadata gives to movies which are created here: UUIDs of version 7. */
const createdId = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Returns the id of the movie. An id with a colon, and one that only a movie created here has, is complete.
 */
const movieIdOf = (recordId: string, { idPrefix }: EventRules): string =>
  recordId.includes(':') || createdId.test(recordId) ? recordId : `${idPrefix}${recordId}`;

const notAnEvent = (reason: string): ExternalFault => ({ code: 'NOT_AN_EVENT', reason });

/** Returns a source's id of a user or record, which is a number or a text; undefined for other values. */
export const idOf = (value: unknown): string | undefined => {
  const id = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof id !== 'string' || id.length === 0 || id.length > 128) return undefined;
  // " 1" would be another viewer than "1", with a second vote.
  return id.trim() === id && isStorableText(id) ? id : undefined;
};
