import { describe, expect, it } from '@jest/globals';
import {
  accessTokenLifetimeMs,
  keysMaxAgeSeconds,
  publishedAheadMs,
  publishedKeys,
  signingKeys,
} from './key-times.js';

const minute = 60_000;
const at = (minutes: number) => new Date(Date.UTC(2026, 0, 1) + minutes * minute);
const idsOf = (keys: readonly { readonly id: string }[]) => keys.map(({ id }) => id);

const keys = [
  { id: 'first', signsFrom: at(0) },
  { id: 'second', signsFrom: at(100) },
];

describe('the times of signing keys', () => {
  it('a new key is published before it signs, for longer than caches keep the keys without it', () => {
    expect(publishedAheadMs).toBeGreaterThan(keysMaxAgeSeconds * 1000);
    expect(idsOf(publishedKeys(keys, at(95)))).toEqual(['second', 'first']);
    expect(idsOf(signingKeys(keys, at(95)))).toEqual(['first']);
  });

  it('an earlier key is published until the last token that it signed has expired', () => {
    expect(accessTokenLifetimeMs).toBe(10 * minute);
    expect(idsOf(signingKeys(keys, at(100)))).toEqual(['second', 'first']);
    expect(idsOf(publishedKeys(keys, at(110)))).toEqual(['second', 'first']);
    expect(idsOf(publishedKeys(keys, at(111)))).toEqual(['second']);
  });

  it('the only key signs and is published for good', () => {
    expect(idsOf(signingKeys(keys.slice(0, 1), at(1_000_000)))).toEqual(['first']);
  });
});
