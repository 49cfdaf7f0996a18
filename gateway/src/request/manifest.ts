import { z } from 'zod';

/** One operation of a manifest. */
export interface ManifestOperation {
  readonly id: string;
  readonly body: string;
  readonly name: string;
  /** The only client that may use the id; every client may if it is undefined. */
  readonly clientName: string | undefined;
}

const shape = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(
    z.object({
      id: z.string().min(1),
      body: z.string().min(1),
      name: z.string(),
      type: z.enum(['query', 'mutation', 'subscription']),
      clientName: z.string().min(1).nullish(),
    }),
  ),
});

/**
 * Reads a manifest in the format of `@apollo/generate-persisted-query-manifest`. Throws an Error with one
 * sentence if the text has another format, or gives one id to two operations of the same client. The bodies
 * are not parsed.
 */
export const readManifest = (text: string): readonly ManifestOperation[] => {
  const read = shape.safeParse(parseJson(text));
  if (!read.success) {
    const [issue] = read.error.issues;
    const at = issue?.path.join('.');
    throw new Error(`it has another format: ${at ? `${at}: ` : ''}${issue?.message ?? 'unknown'}`);
  }
  const bodies = new Map<string, string>();
  return read.data.operations.map(({ id, body, name, clientName }) => {
    const key = keyOf(id, clientName ?? undefined);
    if ((bodies.get(key) ?? body) !== body) throw new Error(`two operations have the id ${id}`);
    bodies.set(key, body);
    return { id, body, name, clientName: clientName ?? undefined };
  });
};

/** Finds the operations of a manifest. */
export interface ManifestIndex {
  /** Returns the text of the operation that a client may use by this id; undefined if there is none. */
  readonly byId: (id: string, clientName: string | undefined) => string | undefined;
  /** Returns true if an operation has exactly this text. */
  readonly hasText: (text: string) => boolean;
}

/** Indexes operations. An id of one client comes before the same id of every client. */
export const indexManifest = (operations: readonly ManifestOperation[]): ManifestIndex => {
  const bodies = new Map(operations.map(({ id, body, clientName }) => [keyOf(id, clientName), body]));
  const texts = new Set(operations.map(({ body }) => body));
  return {
    byId: (id, clientName) => bodies.get(keyOf(id, clientName)) ?? bodies.get(keyOf(id, undefined)),
    hasText: (text) => texts.has(text),
  };
};

const keyOf = (id: string, clientName: string | undefined): string => JSON.stringify([id, clientName]);

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
};
