import { describe, expect, it } from '@jest/globals';
import { readCacheControl } from './cache-control.js';

describe('readCacheControl', () => {
  it.each([
    [undefined, 0, 'PUBLIC'],
    ['', 0, 'PUBLIC'],
    ['max-age=60', 60, 'PUBLIC'],
    ['max-age=60, public', 60, 'PUBLIC'],
    ['Max-Age=60 , PRIVATE', 60, 'PRIVATE'],
    ['private, public, max-age=1', 1, 'PRIVATE'],
    ['private, no-store', 0, 'PRIVATE'],
    ['max-age=60, no-store', 0, 'PUBLIC'],
    ['no-cache="set-cookie", max-age=60', 0, 'PUBLIC'],
    ['max-age=60, max-age=5', 5, 'PUBLIC'],
    ['max-age=60, s-maxage=0', 0, 'PUBLIC'],
    ['s-maxage=60', 0, 'PUBLIC'],
    ['max-age=-1', 0, 'PUBLIC'],
    ['max-age=1.5', 0, 'PUBLIC'],
    ['max-age', 0, 'PUBLIC'],
    ['max-age=99999999999999999999', 31_536_000, 'PUBLIC'],
  ])('reads %j as a hint to cache for %d seconds, %s', (header, maxAge, scope) => {
    expect(readCacheControl(header)).toEqual({ maxAge, scope });
  });
});
