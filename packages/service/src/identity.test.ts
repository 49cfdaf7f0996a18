import { describe, expect, it } from '@jest/globals';
import { createIdentityReader, createIdentitySigner } from './identity.js';
import { isViewerId } from './viewer.js';

const secret = 'a secret of at least thirty-two characters';
const at = (iso: string) => ({ now: () => new Date(iso) });
const noon = at('2026-11-21T12:00:00Z');

describe('createIdentityReader', () => {
  it('returns the viewer to the subgraph that the identity was signed for, or null for nobody', () => {
    const read = createIdentityReader(secret, 'rating', noon);
    const sign = createIdentitySigner(secret, 'rating', noon);
    expect(read(sign({ id: 'ann@example.org', scopes: ['x'] }))).toEqual({
      id: 'ann@example.org',
      scopes: ['x'],
    });
    expect(read(sign(null))).toBeNull();
  });

  it('an identity that is signed again within a second, or in a later one, is that of its viewer', () => {
    let time = '2026-11-21T12:00:00.000Z';
    const clock = { now: () => new Date(time) };
    const sign = createIdentitySigner(secret, 'rating', clock);
    const read = createIdentityReader(secret, 'rating', clock);
    const viewers = [{ id: 'ann', scopes: [] }, { id: 'ann', scopes: ['a', 'b:c'] }, null];
    const first = viewers.map(sign);
    time = '2026-11-21T12:00:00.999Z';
    expect(viewers.map(sign)).toEqual(first);

    time = '2026-11-21T12:01:00.500Z';
    expect(viewers.map((viewer) => read(sign(viewer)))).toEqual(viewers);
  });

  it('rejects an identity of another subgraph, of another secret, or older than a minute', () => {
    const header = createIdentitySigner(secret, 'rating', noon)({ id: 'ann', scopes: [] });
    expect(createIdentityReader(secret, 'metadata', noon)(header)).toBe('invalid');
    expect(createIdentityReader('x'.repeat(40), 'rating', noon)(header)).toBe('invalid');
    expect(createIdentityReader(secret, 'rating', at('2026-11-21T12:00:59Z'))(header)).toEqual({
      id: 'ann',
      scopes: [],
    });
    expect(createIdentityReader(secret, 'rating', at('2026-11-21T12:01:01Z'))(header)).toBe('invalid');
  });

  it('rejects an identity of which any part was changed', () => {
    const header = createIdentitySigner(secret, 'rating', noon)({ id: 'ann', scopes: [] });
    const read = createIdentityReader(secret, 'rating', noon);
    const [version, expiry, viewer, mac] = header.split('.');
    const bob = Buffer.from('bob').toString('base64url');
    for (const forged of [
      `${version}.${expiry}.${bob}.${mac}`,
      `${version}.${Number(expiry) + 1}.${viewer}.${mac}`,
      `${version}.${expiry}..${mac}`,
      `${version}.${expiry}.${viewer}`,
      `${header}x`,
      '',
    ]) {
      expect(read(forged)).toBe('invalid');
    }
  });
});

describe('isViewerId', () => {
  it.each(['ann', 'movielens:1', 'a'.repeat(128)])('accepts the viewer id %p', (id) => {
    expect(isViewerId(id)).toBe(true);
  });
  it.each(['', 'a b', 'a\n', 'ä', 'a'.repeat(129)])('rejects the viewer id %p', (id) => {
    expect(isViewerId(id)).toBe(false);
  });
});
