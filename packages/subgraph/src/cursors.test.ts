import { describe, expect, it } from '@jest/globals';
import { createCursorSealer } from './cursors.js';

const secret = 'a secret of at least thirty-two characters';
const cursors = createCursorSealer(secret, 'one');

describe('a cursor', () => {
  it('a cursor opens to the values it was sealed with, in every process that has the secret', () => {
    const cursor = cursors.seal('list', ['2025-01-01', null, 7]);
    expect(createCursorSealer(secret, 'one').open('list', cursor, 'after')).toEqual(['2025-01-01', null, 7]);
  });

  it('a cursor shows none of its values, and equal values have equal cursors', () => {
    const cursor = cursors.seal('list', ['viewer:ann', 7]);
    expect(Buffer.from(cursor, 'base64url').toString('latin1')).not.toMatch(/ann|viewer/);
    expect(cursors.seal('list', ['viewer:ann', 7])).toBe(cursor);
    expect(cursors.seal('list', ['viewer:ann', 8]).slice(0, 16)).not.toBe(cursor.slice(0, 16));
  });

  it('a cursor is refused if any bit of it is changed', () => {
    const bytes = Buffer.from(cursors.seal('list', ['a', 1]), 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => cursors.open('list', changed.toString('base64url'), 'after')).toThrow('The cursor');
    }
  });

  it.each([
    ['of another list', cursors.seal('other list', ['a'])],
    ['of another subgraph', createCursorSealer(secret, 'two').seal('list', ['a'])],
    ['sealed with another secret', createCursorSealer('x'.repeat(32), 'one').seal('list', ['a'])],
    ['cut', cursors.seal('list', ['a']).slice(0, -1)],
    ['only a nonce', Buffer.alloc(12).toString('base64url')],
    ['spelled in another way', `${cursors.seal('list', ['a'])}=`],
    ['empty', ''],
    ['very long', 'x'.repeat(100_000)],
  ])('a cursor is refused if it is %s', (_what, cursor) => {
    expect(() => cursors.open('list', cursor, 'after')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'after' } }),
    );
  });
});
