import type { Clock } from './clock.js';
import { deriveKey, isMac, mac } from './hmac.js';
import type { Viewer } from './viewer.js';

/** The header in which the gateway tells a subgraph who is asking, signed. Clients can never set it. */
export const identityHeader = 'x-cinegraph-identity';

/** How long a signed identity is good for: longer than any request, too short to be worth stealing. */
const identityLifetimeSeconds = 60;

const identityKey = (secret: string, subgraph: string) => deriveKey(secret, `identity:${subgraph}`);

/**
 * Signs who is asking, for one subgraph: `v1.<expiry, Unix seconds>.<viewer, base64url, empty for nobody>.<mac>`.
 * The key is derived per subgraph, so that no subgraph can replay what it got to another.
 */
export const createIdentitySigner = (secret: string, subgraph: string, clock: Clock) => {
  const key = identityKey(secret, subgraph);
  return (viewer: Viewer): string => {
    const expiry = Math.floor(clock.now().getTime() / 1000) + identityLifetimeSeconds;
    const claim = `v1.${expiry}.${viewer === null ? '' : Buffer.from(viewer.id).toString('base64url')}`;
    return `${claim}.${mac(key, claim)}`;
  };
};

/**
 * Reads a signed identity. Answers the viewer, or `'invalid'` when the signature is not ours for this subgraph,
 * has expired, or the header is no identity at all.
 */
export const createIdentityReader = (secret: string, subgraph: string, clock: Clock) => {
  const key = identityKey(secret, subgraph);
  return (header: string): Viewer | 'invalid' => {
    const match = /^(v1\.(\d{1,12})\.([\w-]*))\.([\w-]+)$/.exec(header);
    if (!match) return 'invalid';
    const [, claim = '', expiry = '', viewer = '', claimedMac = ''] = match;
    if (!isMac(key, claim, claimedMac)) return 'invalid';
    if (Number(expiry) * 1000 < clock.now().getTime()) return 'invalid';
    return viewer === '' ? null : { id: Buffer.from(viewer, 'base64url').toString() };
  };
};
