import { randomUUID } from 'node:crypto';
import type { Clock } from '@cinegraph/service/clock';
import { SignJWT } from 'jose';
import type { SigningKeys } from './commands/signing-keys.js';
import { accessTokenLifetimeMs } from './key-times.js';

/** An access token, and when it expires. */
export interface AccessToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** Whose access token it is, and what it allows. */
export interface Grant {
  readonly userId: string;
  readonly scopes: readonly string[];
}

/** Issues access tokens. */
export interface AccessTokens {
  /**
   * Looks up the key that signs now, and returns a function that signs with it. The function reads nothing,
   * so that it may run in a transaction.
   */
  prepare(): Promise<(grant: Grant) => Promise<AccessToken>>;
}

/**
 * Creates the access tokens: JWTs as in RFC 9068, signed by EdDSA (Ed25519). The claim `scope` is left out if
 * there is no scope.
 */
export const createAccessTokens = (
  { keys, clock }: { readonly keys: Pick<SigningKeys, 'current'>; readonly clock: Clock },
  { issuer, audience }: { readonly issuer: string; readonly audience: string },
): AccessTokens => ({
  prepare: async () => {
    const { id, key } = await keys.current();
    return async ({ userId, scopes }) => {
      const issuedAt = Math.floor(clock.now().getTime() / 1000);
      const expiresAt = issuedAt + accessTokenLifetimeMs / 1000;
      const token = await new SignJWT(scopes.length > 0 ? { scope: scopes.join(' ') } : {})
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: id })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiresAt)
        .setJti(randomUUID())
        .sign(key);
      return { token, expiresAt: new Date(expiresAt * 1000) };
    };
  },
});
