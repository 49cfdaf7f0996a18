import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/**
 * Derives a 32-byte key for one purpose from a service's secret (HKDF-SHA256, RFC 5869). A signature made for
 * one purpose is therefore never valid for another.
 */
export const deriveKey = (secret: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', `cinegraph:${purpose}`, 32));

/** Returns the HMAC-SHA256 of the text, truncated to 16 bytes, as 22 characters of base64url. */
export const mac = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(text).digest().subarray(0, 16).toString('base64url');

/** Whether `claimed` is the MAC of the text. The comparison takes constant time. */
export const isMac = (key: Buffer, text: string, claimed: string): boolean => {
  const expected = Buffer.from(mac(key, text));
  const actual = Buffer.from(claimed);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
};
