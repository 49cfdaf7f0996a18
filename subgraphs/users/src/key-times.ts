/**
 * How long an access token is accepted: the longest time until the loss of a role or a session is in effect.
 */
export const accessTokenLifetimeMs = 10 * 60 * 1000;

/** How far the clocks of the machines may differ. */
const leewayMs = 60 * 1000;

/** How long caches may keep the public keys, in seconds. */
export const keysMaxAgeSeconds = 300;

/** How long a new key is published before it signs: longer than caches keep the keys without it. */
export const publishedAheadMs = 10 * 60 * 1000;

/** The time of a signing key that decides what it is used for. */
export interface TimedKey {
  readonly id: string;
  /** From when on it signs, until the next key does. */
  readonly signsFrom: Date;
}

/**
 * Returns the keys that are published at a time, the one that signs last first: those that will sign, the one
 * that signs, and earlier ones until the last token that they signed has expired.
 */
export const publishedKeys = <Key extends TimedKey>(keys: readonly Key[], now: Date): readonly Key[] => {
  const newestFirst = [...keys].sort(
    (one, other) => other.signsFrom.getTime() - one.signsFrom.getTime() || (one.id < other.id ? 1 : -1),
  );
  return newestFirst.filter((_key, at) => {
    const successor = newestFirst[at - 1];
    return (
      successor === undefined ||
      successor.signsFrom.getTime() + accessTokenLifetimeMs + leewayMs > now.getTime()
    );
  });
};

/** Returns the keys that may sign at a time, the preferred one first. */
export const signingKeys = <Key extends TimedKey>(keys: readonly Key[], now: Date): readonly Key[] =>
  publishedKeys(keys, now).filter(({ signsFrom }) => signsFrom.getTime() <= now.getTime());
