import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { z } from 'zod';

/** An issuer of access tokens that the gateway trusts: one item of `JWT_ISSUERS`. */
export type Issuer = z.output<typeof issuer>;

const text = z.string('must be a text').min(1, 'must not be empty');

/** A public key as a JWK (RFC 7517); unknown members are kept. */
const publicKey = z
  .looseObject({ kty: z.enum(['OKP', 'EC', 'RSA'], 'must be OKP, EC or RSA') })
  .refine((key) => !('d' in key), 'is a private key; list public keys only')
  .refine((key) => isUsable(key), 'is no public key that can be used');

const jwksUrl = z.string().refine((value) => {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}, 'must be an http or https URL without a password');

const isUsable = (key: JsonWebKey): boolean => {
  try {
    const { modulusLength = 2_048 } = createPublicKey({ key, format: 'jwk' }).asymmetricKeyDetails ?? {};
    return modulusLength >= 2_048;
  } catch {
    return false;
  }
};

const issuer = z
  .strictObject({
    /** The claim `iss` of its tokens. */
    issuer: text,
    /** Tokens for at least one of these audiences are accepted: the claim `aud`. */
    audience: z.union(
      [text.transform((value) => [value]), z.array(text).min(1, 'must not be empty')],
      'must be a text or a list of texts',
    ),
    /** Where its public keys are. Either this or `jwks` is set. */
    jwksUrl: jwksUrl.optional(),
    jwks: z.looseObject({ keys: z.array(publicKey).min(1, 'must not be empty') }).optional(),
    /** If it is set, the header `typ` of a token must be `at+jwt` (RFC 9068). */
    typ: z.literal('at+jwt').optional(),
    /** Is put before the claim `sub`, which names a viewer only among those of the issuer. */
    viewerPrefix: z
      .string()
      .regex(/^[\w.-]{1,32}:$/, 'must be 1 to 32 letters, digits or ._- with a colon at the end')
      .optional(),
  })
  .refine(
    (value) => (value.jwksUrl === undefined) !== (value.jwks === undefined),
    'must have either jwksUrl or jwks',
  );

const issuers = z
  .array(issuer, 'must be a JSON array of issuers')
  .refine(
    (list) => new Set(list.map((one) => one.issuer)).size === list.length,
    'names an issuer twice; list its audiences in one item',
  )
  .refine(
    (list) => new Set(list.map((one) => one.viewerPrefix)).size === list.length,
    'lets two issuers name the same viewer; give all but one a viewerPrefix of its own',
  );

/** The variable `JWT_ISSUERS`: a JSON array of issuers. Each problem has the path of its position. */
export const issuersVariable = z.string().transform((json, context): readonly Issuer[] => {
  const { data, error } = issuers.safeParse(parseJson(json));
  for (const { path, message } of error?.issues ?? []) {
    const position = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
    context.addIssue({ code: 'custom', message: `${position.join('')} ${message}`.trim() });
  }
  return data ?? z.NEVER;
});

/** Returns undefined for a text that is no JSON, which no schema accepts. */
const parseJson = (json: string): unknown => {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
};

/**
 * Returns the addresses of keys that somebody between here and the issuer could replace. Not among them are
 * https, this machine, and names without a dot, as containers of one network have.
 */
export const unprotectedAddresses = (list: readonly Issuer[]): readonly string[] =>
  list
    .flatMap((one) => one.jwksUrl ?? [])
    .filter((address) => {
      const { protocol, hostname } = new URL(address);
      return protocol === 'http:' && !isLoopback(hostname) && /[.:]/.test(hostname);
    });

const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
