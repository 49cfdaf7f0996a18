import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** The id in a reference, which no schema checks: `_Any` takes every JSON value. Refused when it is no text. */
export const referredId = (id: unknown): string => {
  if (typeof id === 'string') return id;
  throw new Refusal(refusalCode.badUserInput, 'The id of a reference must be a string.');
};
