import { createOutage } from '@cinegraph/service/outage';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import { createLocalJWKSet, type CryptoKey, type JSONWebKeySet, type JWTHeaderParameters } from 'jose';
import { request } from 'undici';
import type { Issuer } from './issuers.js';

/** The public keys of one issuer. */
export interface IssuerKeys {
  /**
   * Returns the key that the header of a token names. Throws {@link KeysUnavailable} if the keys cannot be
   * read, and an error of jose if the issuer has no such key.
   */
  readonly keyOf: (header: JWTHeaderParameters) => Promise<CryptoKey>;
}

/** Why a token cannot be judged: its key is not known, and the issuer's keys cannot be read. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable';
}

/** How long a request waits for the keys, less than its deadline. */
const timeoutMs = 3_000;

/** A set of keys is a few kilobytes. */
const maxBytes = 256 * 1024;

/** The least time between two requests for the keys, if the first one brought them. */
const coolDownMs = 10_000;

/** The least time between two requests for the keys, if the first one failed. */
const coolDownAfterFailureMs = 1_000;

/** How old keys may be before they are read again. A key that the issuer has removed is refused then. */
export const maxKeyAgeMs = 300_000;

/**
 * Opens the keys of an issuer. Keys at a URL are read when the first token needs them, and again:
 *
 * - in the background, by the next token that needs a key when they are older than five minutes. If that
 *   fails, the known keys stay in use, and the next token tries again;
 * - when a token names a key that is not known, but at most every ten seconds, or every second after a
 *   failure. All tokens wait for the same request, at most three seconds.
 *
 * Nothing in a token changes where keys are read.
 */
export const openIssuerKeys = (
  { issuer, jwks, jwksUrl }: Pick<Issuer, 'issuer' | 'jwks' | 'jwksUrl'>,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): IssuerKeys => {
  if (jwksUrl === undefined) return { keyOf: createLocalJWKSet(jwks as JSONWebKeySet) };
  const outage = createOutage(
    logger.child({ issuer }),
    'the keys of an issuer cannot be read',
    'the keys of an issuer can be read again',
  );
  let keys: { find: KeyFinder; kids: ReadonlySet<unknown> } | undefined;
  let triedAtMs = -Infinity;
  let readAtMs = -Infinity;
  let hasFailed = true;
  let reading: Promise<void> | undefined;

  const read = async (): Promise<void> => {
    triedAtMs = clock.now().getTime();
    try {
      const set = JSON.parse(await fetchText(jwksUrl)) as JSONWebKeySet;
      keys = { find: createLocalJWKSet(set), kids: new Set(set.keys.map(({ kid }) => kid)) };
      hasFailed = false;
      readAtMs = triedAtMs;
      outage.over();
    } catch (error) {
      hasFailed = true;
      outage.failed(error);
    } finally {
      reading = undefined;
    }
  };
  const since = (timeMs: number): number => clock.now().getTime() - timeMs;
  /** Reads the keys, unless they were read a moment ago. */
  const readAgain = async (): Promise<void> => {
    if (!reading && since(triedAtMs) < (hasFailed ? coolDownAfterFailureMs : coolDownMs)) return;
    await (reading ??= read());
  };

  return {
    keyOf: async (header) => {
      const { kid } = header;
      const isUnknown = (): boolean => typeof kid === 'string' && keys?.kids.has(kid) !== true;
      if (!keys || isUnknown()) await readAgain();
      else if (since(readAtMs) > maxKeyAgeMs) void readAgain();
      // The issuer may have published this key after the last response.
      if (!keys || (isUnknown() && hasFailed)) throw new KeysUnavailable();
      return keys.find(header);
    },
  };
};

type KeyFinder = ReturnType<typeof createLocalJWKSet>;

/** Requests a URL and returns the body of a response with status 200. Follows no redirect. */
const fetchText = async (url: string): Promise<string> => {
  const { statusCode, body } = await request(url, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(timeoutMs),
    reset: true,
  });
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    if (statusCode !== 200) throw new Error(`the response has the status ${statusCode}`);
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new Error(`the response has more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } finally {
    body.on('error', () => undefined).destroy();
  }
  return Buffer.concat(chunks).toString();
};
