import { v7 } from 'uuid';

/** Time and ids are dependencies, so that tests decide both. */
export interface Clock {
  now(): Date;
}

/** The machine's own clock. */
export const systemClock: Clock = { now: () => new Date() };

/** A new id: a UUID version 7 (RFC 9562), so that later ones sort behind earlier ones. */
export const newId = (): string => v7();
