import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/**
 * Returns the id of an entity reference, or refuses an id that is no string. The schema cannot check it,
 * because the scalar `_Any` accepts every JSON value.
 */
export const referredId = (id: unknown): string => {
  if (typeof id === 'string') return id;
  throw new Refusal(refusalCode.badUserInput, 'The id of a reference must be a string.', { field: 'id' });
};
