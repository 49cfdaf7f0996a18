import { generateKeyPairSync, sign } from 'node:crypto';

const issuer = 'https://issuer.test';
const audience = 'cinegraph-tests';
const kid = 'test';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');

/** The value of `JWT_ISSUERS` for a gateway that accepts the tokens of this process. */
export const testIssuer = JSON.stringify([
  { issuer, audience, jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA' }] } },
]);

/** Returns an access token of a viewer that is valid for an hour. */
export const tokenOf = (
  viewerId: string,
  { scopes = [], policies = [] }: { scopes?: readonly string[]; policies?: readonly string[] } = {},
): string => {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const parts = [
    { typ: 'at+jwt', alg: 'EdDSA', kid },
    {
      ...{ iss: issuer, aud: audience, sub: viewerId, iat: nowSeconds, exp: nowSeconds + 3_600 },
      ...{ scope: scopes.join(' '), policies },
    },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
};

/** Returns the header of a request with {@link tokenOf} the viewer. */
export const bearerOf = (
  viewerId: string,
  claims?: Parameters<typeof tokenOf>[1],
): { readonly authorization: string } => ({ authorization: `Bearer ${tokenOf(viewerId, claims)}` });
