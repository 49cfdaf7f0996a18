import { constants, generateKeyPairSync, sign, type JsonWebKey, type KeyObject } from 'node:crypto';

/** The issuers whose tokens a gateway with `issuers` accepts. */
export const [ours, theirs] = ['https://ours.test', 'https://theirs.test'];

/** Our key, the keys of the other issuer, and one of nobody. */
export const ed = generateKeyPairSync('ed25519');
export const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
export const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const stranger = generateKeyPairSync('ed25519');

/** A public key as an issuer publishes it. */
export const jwk = (key: KeyObject, kid: string): JsonWebKey & { kid: string } => ({
  ...key.export({ format: 'jwk' }),
  kid,
});

/** The value of `JWT_ISSUERS`. */
export const issuers = JSON.stringify([
  { issuer: ours, audience: ['graph', 'other-graph'], jwks: { keys: [jwk(ed.publicKey, 'ed')] } },
  {
    issuer: theirs,
    audience: 'graph',
    typ: 'at+jwt',
    viewerPrefix: 'their:',
    jwks: { keys: [jwk(rsa.publicKey, 'rsa'), jwk(ec.publicKey, 'ec')] },
  },
]);

type Part = Readonly<Record<string, unknown>>;

/** The time in seconds, as tokens have it. */
export const now = (): number => Math.floor(Date.now() / 1_000);

/** Encodes one part of a token. A text is used as it is. */
export const encode = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** The claims of a valid token of ours, changed by `claims`. */
export const claimsOf = (claims: Part = {}): Part => ({
  ...{ iss: ours, aud: 'graph', sub: 'ann', iat: now(), exp: now() + 300 },
  ...claims,
});

/** Signs a token as its header says. A part that is a text is used as it is. */
export const tokenOf = (
  claims: Part | string = claimsOf(),
  header: Part | string = {},
  key: KeyObject = ed.privateKey,
): string => {
  const whole = typeof header === 'string' ? header : { alg: 'EdDSA', kid: 'ed', typ: 'at+jwt', ...header };
  const text = `${encode(whole)}.${encode(claims)}`;
  const bytes = Buffer.from(text);
  const alg = typeof whole === 'string' ? 'EdDSA' : whole.alg;
  const signature =
    alg === 'EdDSA'
      ? sign(null, bytes, key)
      : sign('sha256', bytes, {
          key,
          dsaEncoding: 'ieee-p1363',
          ...(alg === 'PS256' && { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
        });
  return `${text}.${signature.toString('base64url')}`;
};

/** A token of the other issuer. */
export const theirToken = (claims: Part = {}, header: Part = {}, key = rsa.privateKey): string =>
  tokenOf(claimsOf({ iss: theirs, ...claims }), { alg: 'RS256', kid: 'rsa', ...header }, key);
