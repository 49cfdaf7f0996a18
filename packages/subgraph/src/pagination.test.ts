import { describe, expect, it } from '@jest/globals';
import { createCursorSealer } from './cursors.js';
import { readPage, toConnection } from './pagination.js';

const cursors = createCursorSealer('a secret of at least thirty-two characters', 'one');

describe('page arguments', () => {
  it('page arguments mean 20 rows forward by default', () => {
    expect(readPage({}, cursors, 'list')).toEqual({ size: 20, backward: false, cursor: null });
  });

  it.each([
    { first: -1 },
    { first: 101 },
    { last: 101 },
    { first: 1, last: 1 },
    { first: 1, before: cursors.seal('list', [1]) },
    { last: 1, after: cursors.seal('list', [1]) },
  ])('page arguments %j are refused, never clamped', (requested) => {
    expect(() => readPage(requested, cursors, 'list')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT' }),
    );
  });
});

describe('a connection', () => {
  const page = { size: 2, backward: false, cursor: null };

  it('a connection has a next page exactly if an extra row was read', () => {
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

  it('a connection that is read backward has its rows in list order', () => {
    const { edges, pageInfo } = toConnection(
      ['c', 'b', 'a'],
      { size: 2, backward: true, cursor: ['d'] },
      String,
    );
    expect(edges.map(({ node }) => node)).toEqual(['b', 'c']);
    expect(pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: true });
  });

  it('a connection without rows has no cursors', () => {
    expect(toConnection([], page, String).pageInfo).toMatchObject({
      startCursor: null,
      endCursor: null,
    });
  });
});
