import { describe, expect, it } from '@jest/globals';
import { budgetAddress } from './client-address.js';

describe('the address by which a budget is kept', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:51234', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:207', '192.0.2.7'],
    ['[::ffff:192.0.2.7]:443', '192.0.2.7'],
    ['2001:db8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
    ['2001:DB8::0007:1:2:3:4', '2001:db8:0:7::/64'],
    ['[2001:db8::1]:443', '2001:db8:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('of %s is %s', (text, expected) => {
    expect(budgetAddress(text)).toBe(expected);
  });

  it.each([
    '',
    'unknown',
    '_hidden',
    '192.0.2',
    '192.0.2.7.1',
    '[192.0.2.7',
    '1:2:3',
    'host.example:80',
    ':::',
  ])('of "%s" is none', (text) => {
    expect(budgetAddress(text)).toBeUndefined();
  });
});
