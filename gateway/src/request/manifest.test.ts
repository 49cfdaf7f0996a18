import { describe, expect, it } from '@jest/globals';
import { indexManifest, readManifest } from './manifest.js';

const operation = { id: 'a', name: 'A', type: 'query', body: 'query A { a }' };
const manifestOf = (...operations: readonly unknown[]) => ({
  format: 'apollo-persisted-query-manifest',
  version: 1,
  operations,
});
const read = (manifest: unknown) => readManifest(JSON.stringify(manifest));

describe('a manifest', () => {
  it('an operation is found by its id and by its exact text', () => {
    const index = indexManifest(read(manifestOf(operation)));

    expect(index.byId('a', undefined)).toBe(operation.body);
    expect(index.byId('a', 'web')).toBe(operation.body);
    expect(index.byId('b', undefined)).toBeUndefined();
    expect([index.hasText(operation.body), index.hasText(`${operation.body} `)]).toEqual([true, false]);
  });

  it('an id of one client is for this client, and comes before the same id of every client', () => {
    const mobile = { ...operation, body: 'query A { b }', clientName: 'mobile' };
    const index = indexManifest(read(manifestOf({ ...operation, clientName: null }, mobile)));

    expect(index.byId('a', 'mobile')).toBe(mobile.body);
    expect(index.byId('a', 'web')).toBe(operation.body);
    expect(indexManifest(read(manifestOf(mobile))).byId('a', 'web')).toBeUndefined();
  });

  it('the same operation may be listed twice', () => {
    expect(read(manifestOf(operation, operation))).toHaveLength(2);
  });

  it.each([
    ['of another format', { ...manifestOf(), format: 'other' }, /^it has another format: format: /],
    ['of another version', { ...manifestOf(), version: 2 }, /^it has another format: version: /],
    [
      'without a body',
      manifestOf({ ...operation, body: undefined }),
      /another format: operations\.0\.body: /,
    ],
    ['with an empty id', manifestOf({ ...operation, id: '' }), /another format: operations\.0\.id: /],
    ['that is no object', null, /^it has another format: /],
    [
      'with one id twice',
      manifestOf(operation, { ...operation, body: '{ b }' }),
      /^two operations have the id a$/,
    ],
  ])('a manifest %s is refused with one sentence', (_what, manifest, message) => {
    expect(() => read(manifest)).toThrow(message);
  });

  it('a text that is not JSON is refused', () => {
    expect(() => readManifest('{')).toThrow('it is not JSON');
  });
});
