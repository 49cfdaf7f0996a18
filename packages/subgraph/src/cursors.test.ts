import { describe, expect, it } from '@jest/globals';
import { createCursorSealer } from './cursors.js';

const secret = 'a secret of at least thirty-two characters';
const cursors = createCursorSealer(secret, 'one');

describe('a cursor', () => {
  it('a cursor opens to the values it was sealed with, in every process that has the secret', () => {
    const cursor = cursors.seal('list', ['2025-01-01', null, 7]);
    expect(createCursorSealer(secret, 'one').open('list', cursor, 'after')).toEqual(['2025-01-01', null, 7]);
  });

  it.each([
    ['of another list', cursors.seal('other list', ['a'])],
    ['of another subgraph', createCursorSealer(secret, 'two').seal('list', ['a'])],
    ['sealed with another secret', createCursorSealer('x'.repeat(32), 'one').seal('list', ['a'])],
    ['empty', ''],
    ['very long', 'x'.repeat(100_000)],
  ])('a cursor is refused if it is %s', (_what, cursor) => {
    expect(() => cursors.open('list', cursor, 'after')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'after' } }),
    );
  });
});
