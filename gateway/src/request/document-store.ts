import type { DocumentNode, Location } from 'graphql';
import { LRUCache } from 'lru-cache';

/** Measured with graphql 16: what a node takes in memory, with its location and its lists, without tokens. */
const bytesPerNode = 220;

/** A store of parsed and validated documents by hash, as Apollo Server uses it. */
export interface DocumentStore {
  get(key: string): Promise<DocumentNode | undefined>;
  set(key: string, document: DocumentNode): Promise<void>;
  delete(key: string): Promise<boolean>;
}

/**
 * Creates a store of at most `maxBytes`, estimated by the nodes and the source text of each document; the
 * least recently used documents are evicted. A stored document loses its tokens, which take a quarter of its
 * memory and which only the parser needs. Its nodes keep their positions, so that errors have locations.
 */
export const createDocumentStore = ({ maxBytes }: { readonly maxBytes: number }): DocumentStore => {
  const documents = new LRUCache<string, DocumentNode>({ maxSize: maxBytes });
  return {
    get: async (key) => documents.get(key),
    set: async (key, document) => {
      const text = document.loc?.source.body.length ?? 0;
      documents.set(key, document, { size: text + bytesPerNode * dropTokens(document) });
    },
    delete: async (key) => documents.delete(key),
  };
};

/** Takes the tokens out of the locations of a document, and returns the number of its nodes. */
const dropTokens = (document: DocumentNode): number => {
  let nodes = 0;
  const rest: unknown[] = [document];
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (Array.isArray(value)) {
      for (const item of value as readonly unknown[]) rest.push(item);
      continue;
    }
    nodes += 1;
    for (const [key, child] of Object.entries(value as Readonly<Record<string, unknown>>)) {
      if (typeof child !== 'object' || child === null) continue;
      if (key === 'loc') Object.assign(child as Location, { startToken: undefined, endToken: undefined });
      else rest.push(child);
    }
  }
  return nodes;
};
