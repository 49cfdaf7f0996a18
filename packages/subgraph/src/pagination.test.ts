import { describe, expect, it } from '@jest/globals';
import { createCursorSealer, readPage, toConnection } from './pagination.js';

const secret = 'a secret of at least thirty-two characters';
const cursors = createCursorSealer(secret, 'one');

describe('a cursor', () => {
  it('opens to the values it was sealed with, in every process that has the secret', () => {
    const cursor = cursors.seal('list', ['2025-01-01', null, 7]);
    expect(createCursorSealer(secret, 'one').open('list', cursor)).toEqual(['2025-01-01', null, 7]);
  });

  it.each([
    ['another list', cursors.seal('other list', ['a'])],
    ['another subgraph', createCursorSealer(secret, 'two').seal('list', ['a'])],
    ['another secret', createCursorSealer('x'.repeat(32), 'one').seal('list', ['a'])],
    ['nothing', ''],
    ['a very long text', 'x'.repeat(100_000)],
  ])('of %s is refused', (_what, cursor) => {
    expect(() => cursors.open('list', cursor)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });
});

describe('page arguments', () => {
  it('mean 20 rows forward unless told', () => {
    expect(readPage({}, cursors, 'list')).toEqual({ size: 20, backward: false, cursor: null });
  });

  it.each([
    { first: -1 },
    { first: 101 },
    { last: 101 },
    { first: 1, last: 1 },
    { first: 1, before: cursors.seal('list', [1]) },
    { last: 1, after: cursors.seal('list', [1]) },
  ])('%j are refused, never clamped', (given) => {
    expect(() => readPage(given, cursors, 'list')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT' }),
    );
  });
});

describe('a connection', () => {
  const page = { size: 2, backward: false, cursor: null };

  it('has a next page exactly when a row beyond it was read', () => {
    expect(toConnection(['a', 'b'], page, String).pageInfo.hasNextPage).toBe(false);
    const { edges, pageInfo } = toConnection(['a', 'b', 'c'], page, String);
    expect(edges.map(({ node }) => node)).toEqual(['a', 'b']);
    expect(pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: 'a',
      endCursor: 'b',
    });
  });

  it('walked backward shows its rows in list order', () => {
    const { edges, pageInfo } = toConnection(
      ['c', 'b', 'a'],
      { size: 2, backward: true, cursor: ['d'] },
      String,
    );
    expect(edges.map(({ node }) => node)).toEqual(['b', 'c']);
    expect(pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: true });
  });

  it('without rows has no cursors', () => {
    expect(toConnection([], page, String).pageInfo).toMatchObject({
      startCursor: null,
      endCursor: null,
    });
  });
});
