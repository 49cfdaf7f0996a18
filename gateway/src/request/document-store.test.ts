import { describe, expect, it } from '@jest/globals';
import { GraphQLError, parse, print, visit } from 'graphql';
import { createDocumentStore } from './document-store.js';

const query = (name: string) => `query ${name}($id: ID!) { movie(id: $id) { id title genres { name } } }`;

describe('the store of documents', () => {
  it('a stored document has no tokens, and errors at its nodes still have their locations', async () => {
    const store = createDocumentStore({ maxBytes: 100_000 });
    await store.set('a', parse(query('A')));
    const document = (await store.get('a'))!;
    visit(document, {
      enter: ({ loc }) => expect([loc?.startToken, loc?.endToken]).toEqual([undefined, undefined]),
    });
    expect(print(document)).toBe(print(parse(query('A'))));
    const [operation] = document.definitions;
    expect(new GraphQLError('no', { nodes: operation! }).locations).toEqual([{ line: 1, column: 1 }]);
  });

  it('the least recently used documents are evicted once all of them exceed the bytes', async () => {
    const nodes = (() => {
      let count = 0;
      visit(parse(query('A')), { enter: () => void (count += 1) });
      return count;
    })();
    const size = 220 * nodes + query('A').length;
    const store = createDocumentStore({ maxBytes: 2 * size });
    for (const name of ['A', 'B']) await store.set(name, parse(query(name)));
    await store.get('A');
    await store.set('C', parse(query('C')));
    const kept = await Promise.all(['A', 'B', 'C'].map((name) => store.get(name)));
    expect(kept.map((document) => document !== undefined)).toEqual([true, false, true]);
  });

  it('a document that exceeds the bytes alone is not stored', async () => {
    const store = createDocumentStore({ maxBytes: 1_000 });
    await store.set('a', parse(query('A')));
    expect(await store.get('a')).toBeUndefined();
    expect(await store.delete('a')).toBe(false);
  });
});
