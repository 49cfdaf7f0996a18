import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import { isScope, isViewerId } from '@cinegraph/service/viewer';
import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyResult } from 'jose';
import { LRUCache } from 'lru-cache';
import { authenticationUnavailable, unauthenticated } from '../errors.js';
import type { RequestContext } from './context.js';
import { KeysUnavailable, maxKeyAgeMs, openIssuerKeys, type IssuerKeys } from './issuer-keys.js';
import type { Issuer } from './issuers.js';

/** Who sends a request, and which policies the token grants. */
export type Caller = Pick<RequestContext, 'viewer' | 'policies'>;

/**
 * Returns who sends a request: at once if the token is known, else when it was verified. Throws or rejects
 * with a GraphQLError and the status 401 for a header `Authorization` that is not a valid access token, and
 * 503 for a token that cannot be judged.
 */
export type Authenticate = (request: IncomingMessage) => Caller | Promise<Caller>;

/** The algorithms of signatures that are accepted; all of them have a public key. */
const algorithms = [
  ...['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512'],
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
];

/** Types of tokens that are accepted of an issuer without `typ`. Other kinds of JWT name their own type. */
const tokenTypes: ReadonlySet<unknown> = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);

/** By how many seconds the clocks of an issuer and of the gateway may differ. */
const leewaySeconds = 30;

/** A longer header is refused unread: tokens of identity providers have 1 or 2 kB. */
const maxHeaderLength = 8_192;

/** The number of tokens whose claims are kept. */
const maxKnownTokens = 10_000;

const bearer = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i;

const nobody: Caller = { viewer: null, policies: [] };

interface TrustedIssuer {
  readonly options: Issuer;
  readonly keys: IssuerKeys;
  /** Viewers with these prefixes are those of other issuers. */
  readonly otherPrefixes: readonly string[];
}

interface KnownToken {
  readonly caller: Caller;
  readonly untilMs: number;
}

/**
 * Creates the check of access tokens (JWT, RFC 9068). A token is verified once. Then its claims are known
 * until it expires, for at most five minutes, so that a key that the issuer removes is not trusted for long.
 *
 * A request without `Authorization` has no viewer. With `passesUnread`, the header is for subgraphs only.
 */
export const createAuthentication = (options: {
  readonly issuers: readonly Issuer[];
  readonly passesUnread: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}): Authenticate => {
  const { issuers, passesUnread, clock, logger } = options;
  const trusted = new Map<string, TrustedIssuer>();
  for (const issuer of issuers) {
    const others = issuer.viewerPrefix === undefined ? issuers : [];
    trusted.set(issuer.issuer, {
      options: issuer,
      keys: openIssuerKeys(issuer, options),
      otherPrefixes: others.flatMap(({ viewerPrefix }) => viewerPrefix ?? []),
    });
  }
  // Keys are hashes, so that a dump of the memory has no token that is still valid.
  const known = new LRUCache<string, KnownToken>({ max: maxKnownTokens });
  const underWay = new Map<string, Promise<Caller>>();

  const verifyOnce = async (token: string, key: string): Promise<Caller> => {
    try {
      const { caller, expiresAtMs } = await verify(token, trusted, clock.now());
      const untilMs = Math.min(expiresAtMs, clock.now().getTime() + maxKeyAgeMs);
      known.set(key, { caller, untilMs });
      return caller;
    } catch (error) {
      if (error instanceof KeysUnavailable) throw authenticationUnavailable();
      // An error of jose holds the claims: only its code is logged.
      logger.debug({ reason: reasonOf(error) }, 'a token is refused');
      throw unauthenticated();
    } finally {
      underWay.delete(key);
    }
  };

  return (request) => {
    const header = request.headers.authorization;
    if (header === undefined || passesUnread) return nobody;
    if (header.length > maxHeaderLength || isRepeated(request)) throw unauthenticated();
    const key = hash('sha256', header, 'base64');
    // Hot: each request of a viewer ends here (bench graph).
    const knownToken = known.get(key);
    if (knownToken && clock.now().getTime() < knownToken.untilMs) return knownToken.caller;
    const token = bearer.exec(header)?.[1];
    if (token === undefined) throw unauthenticated();
    const verification = underWay.get(key) ?? verifyOnce(token, key);
    underWay.set(key, verification);
    return verification;
  };
};

/** Returns true if a request has more than one `Authorization`, of which Node keeps the first. */
const isRepeated = ({ rawHeaders }: IncomingMessage): boolean => {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 'authorization'.length && name.toLowerCase() === 'authorization') count += 1;
  }
  return count > 1;
};

/** A reason to refuse a token that jose does not check. */
class UnusableToken extends Error {
  override readonly name = 'UnusableToken';
}

/** The issuer that a token claims only chooses whose keys and rules apply; the signature proves it. */
const verify = async (
  token: string,
  trusted: ReadonlyMap<string, TrustedIssuer>,
  now: Date,
): Promise<{ caller: Caller; expiresAtMs: number }> => {
  const issuer = trusted.get(decodeJwt(token).iss ?? '');
  if (!issuer) throw new UnusableToken('iss');
  const { typ, audience, issuer: name } = issuer.options;
  const { payload, protectedHeader } = await jwtVerify(token, issuer.keys.keyOf, {
    algorithms,
    issuer: name,
    audience,
    requiredClaims: ['exp', 'sub'],
    clockTolerance: leewaySeconds,
    currentDate: now,
    ...(typ !== undefined && { typ }),
  });
  const { iat = 0, exp = 0 } = payload;
  if (!hasTokenType(protectedHeader)) throw new UnusableToken('typ');
  if (iat > now.getTime() / 1_000 + leewaySeconds) throw new UnusableToken('iat');
  return { caller: callerOf(payload, issuer), expiresAtMs: (exp + leewaySeconds) * 1_000 };
};

const hasTokenType = ({ typ }: JWTVerifyResult['protectedHeader']): boolean =>
  tokenTypes.has(typeof typ === 'string' ? typ.toLowerCase() : typ);

/** Returns whom the verified claims name. Scopes are sorted, because equal viewers share fetches. */
const callerOf = (
  { sub = '', scope, scp, policies = [] }: JWTPayload,
  { options: { viewerPrefix = '' }, otherPrefixes }: TrustedIssuer,
): Caller => {
  const id = viewerPrefix + sub;
  const isOfAnother = otherPrefixes.some((prefix) => id.startsWith(prefix));
  if (typeof sub !== 'string' || sub === '' || !isViewerId(id) || isOfAnother) throw new UnusableToken('sub');
  const scopes = listOf(scope ?? scp ?? []);
  if (!scopes?.every(isScope)) throw new UnusableToken('scope');
  const names = Array.isArray(policies) ? listOf(policies) : undefined;
  if (!names) throw new UnusableToken('policies');
  return { viewer: { id, scopes: [...new Set(scopes)].sort() }, policies: names };
};

/** Reads a list of texts, or a text with spaces between its items; undefined if it is neither. */
const listOf = (claim: unknown): readonly string[] | undefined => {
  if (typeof claim === 'string') return claim.split(' ').filter((item) => item !== '');
  return Array.isArray(claim) && claim.every((item) => typeof item === 'string') ? claim : undefined;
};

/** Returns why a token is refused, without any of its content. */
const reasonOf = (error: unknown): string => {
  if (error instanceof UnusableToken) return `the claim or header ${error.message}`;
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
    return `${error.code} ${error.claim}`;
  return error instanceof errors.JOSEError ? error.code : String(error);
};
