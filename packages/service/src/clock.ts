import { v7 } from 'uuid';

/** Supplies the time. It is a dependency, so that a test can set it. */
export interface Clock {
  now(): Date;
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => new Date() };

/** Returns a new id: a UUID version 7 (RFC 9562). Ids sort by the time at which they were made. */
export const newId = (): string => v7();
