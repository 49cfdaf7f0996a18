import type { Clock } from './clock.js';
import { deriveKey, isMac, mac } from './hmac.js';
import type { Viewer } from './viewer.js';

/** The header with the signed viewer that the gateway sends to a subgraph. Clients can never set it. */
export const identityHeader = 'x-cinegraph-identity';

/** How long a signed identity is valid: longer than any request, but too short to be worth stealing. */
const identityLifetimeSeconds = 60;

const identityKey = (secret: string, subgraph: string) => deriveKey(secret, `identity:${subgraph}`);

/**
 * Creates a function that signs a viewer for one subgraph. The identity is `v2.<expiry>.<viewer>.<mac>`, with
 * the expiry in Unix seconds. The viewer is the base64url of id and scopes with spaces between them, empty
 * for nobody. The key is derived per subgraph, so that no subgraph can replay an identity to another one. A
 * viewer is signed once a second.
 */
export const createIdentitySigner = (secret: string, subgraph: string, clock: Clock) => {
  const key = identityKey(secret, subgraph);
  // A signature costs as much as a tenth of a fetch, and is the same until the second ends.
  const signed = new Map<string, string>();
  let signedExpiry = 0;
  return (viewer: Viewer): string => {
    const expiry = Math.floor(clock.now().getTime() / 1000) + identityLifetimeSeconds;
    if (expiry !== signedExpiry) signed.clear();
    signedExpiry = expiry;
    const text = viewer === null ? '' : [viewer.id, ...viewer.scopes].join(' ');
    const known = signed.get(text);
    if (known !== undefined) return known;
    const claim = `v2.${expiry}.${Buffer.from(text).toString('base64url')}`;
    const identity = `${claim}.${mac(key, claim)}`;
    signed.set(text, identity);
    return identity;
  };
};

/**
 * Creates a function that verifies an identity and returns its viewer. It returns `'invalid'` if the header
 * is malformed, was signed for another subgraph or with another secret, or has expired.
 */
export const createIdentityReader = (secret: string, subgraph: string, clock: Clock) => {
  const key = identityKey(secret, subgraph);
  return (header: string): Viewer | 'invalid' => {
    const match = /^(v2\.(\d{1,12})\.([\w-]*))\.([\w-]+)$/.exec(header);
    if (!match) return 'invalid';
    const [, claim = '', expiry = '', viewer = '', claimedMac = ''] = match;
    if (!isMac(key, claim, claimedMac)) return 'invalid';
    if (Number(expiry) * 1000 < clock.now().getTime()) return 'invalid';
    if (viewer === '') return null;
    const [id = '', ...scopes] = Buffer.from(viewer, 'base64url').toString().split(' ');
    return { id, scopes };
  };
};
