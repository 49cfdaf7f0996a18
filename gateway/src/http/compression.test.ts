import { describe, expect, it } from '@jest/globals';
import { chooseEncoding } from './compression.js';

describe('the choice of an encoding', () => {
  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['*', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['br;q=0.1, gzip;q=0.2', 'gzip'],
    ['br;q=0.2, gzip;q=0.2', 'br'],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0, *', 'identity'],
    ['gzip; Q=0.5 , identity; q=0.4', 'gzip'],
    ['gzip;q=0.5, identity;q=0.6', 'identity'],
    ['gzip, identity', 'gzip'],
    ['identity;q=0', 'identity'],
    ['*;q=0', 'identity'],
    ['*;q=0, gzip', 'gzip'],
    ['gzip;q=0.000', 'identity'],
    ['gzip;q=2', 'identity'],
    ['gzip;q=x, br;q=', 'identity'],
    [', ,;q=1, gzip', 'gzip'],
    ['zstd, compress', 'identity'],
  ])('the encoding for Accept-Encoding %j is %s', (header, encoding) => {
    expect(chooseEncoding(header)).toBe(encoding);
  });
});
