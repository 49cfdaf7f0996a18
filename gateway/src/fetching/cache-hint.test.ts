import { describe, expect, it } from '@jest/globals';
import { cacheHintOf } from './cache-hint.js';

const kept = 'max-age=60';

describe('cacheHintOf', () => {
  it.each([
    [{}, 0],
    [{ 'cache-control': kept }, 60],
    [{ 'cache-control': 'max-age=60, must-revalidate' }, 60],
    [{ 'cache-control': 'max-age=60, s-maxage=50', age: '20' }, 30],
    [{ 'cache-control': 'no-store, max-age=60' }, 0],
    [{ 'cache-control': ['max-age=60', 'no-cache'] }, 0],
    [{ 'cache-control': kept, age: '55' }, 5],
    [{ 'cache-control': kept, age: '60' }, 0],
    [{ 'cache-control': kept, age: '100' }, 0],
    [{ 'cache-control': kept, age: ['7', '100'] }, 53],
    [{ 'cache-control': kept, age: 'old' }, 0],
    [{ 'cache-control': kept, vary: 'accept-encoding' }, 60],
    [{ 'cache-control': kept, vary: 'accept-encoding, *' }, 0],
    [{ 'cache-control': kept, vary: ['accept', '*'] }, 0],
    [{ 'cache-control': kept, pragma: 'No-Cache' }, 0],
    [{ expires: 'Fri, 01 Jan 2100 00:00:00 GMT' }, 0],
    [{ 'cache-control': kept, expires: '0' }, 60],
  ])('reads %j as a hint to cache for %d seconds', (headers, maxAge) => {
    expect(cacheHintOf(headers)).toEqual({ maxAge, scope: 'PUBLIC' });
  });

  it('a response that sets a cookie is for one viewer only', () => {
    expect(cacheHintOf({ 'cache-control': 'public, max-age=60', 'set-cookie': ['a=b'] })).toEqual({
      maxAge: 0,
      scope: 'PRIVATE',
    });
  });
});
