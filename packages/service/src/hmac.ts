import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/**
 * Derives the key for one purpose from a service's secret (HKDF-SHA256, RFC 5869), 32 bytes.
 * What is made for one purpose can therefore never be used for another.
 */
export const deriveKey = (secret: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', `cinegraph:${purpose}`, 32));

/** HMAC-SHA256 of the text, cut to 16 bytes, as base64url (22 characters). */
export const mac = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(text).digest().subarray(0, 16).toString('base64url');

/** Whether `claimed` is the text's MAC; compares in constant time. */
export const isMac = (key: Buffer, text: string, claimed: string): boolean => {
  const expected = Buffer.from(mac(key, text));
  const given = Buffer.from(claimed);
  return expected.length === given.length && timingSafeEqual(expected, given);
};
