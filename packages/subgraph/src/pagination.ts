import { randomBytes } from 'node:crypto';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { deriveKey, isMac, mac } from '@cinegraph/service/hmac';

/** The values of a row by which its list is sorted, the last of them unique. */
export type SortValues = readonly (string | number | null)[];

/**
 * Makes and opens cursors of Relay connections. A cursor is opaque and authenticated: it is bound to `scope` (the field,
 * its filter, sort order and viewer), and one that is forged, changed or of another list is refused with BAD_USER_INPUT.
 */
export interface CursorSealer {
  seal(scope: string, values: SortValues): string;
  open(scope: string, cursor: string): SortValues;
}

/**
 * A sealer for the subgraph `name`, with a key derived from the services' secret, so that replicas accept each other's
 * cursors. Without a secret the key is random: cursors then end with the process.
 */
export const createCursorSealer = (secret: string | undefined, name: string): CursorSealer => {
  const key = secret === undefined ? randomBytes(32) : deriveKey(secret, `cursor:${name}`);
  const bound = (scope: string, text: string) => `${Buffer.byteLength(scope)}:${scope}${text}`;
  return {
    seal: (scope, values) => {
      const text = JSON.stringify(values);
      return `${Buffer.from(text).toString('base64url')}.${mac(key, bound(scope, text))}`;
    },
    open: (scope, cursor) => {
      const [encoded = '', claimed = '', ...rest] = cursor.length > 4096 ? [] : cursor.split('.');
      const text = Buffer.from(encoded, 'base64url').toString();
      if (rest.length > 0 || !isMac(key, bound(scope, text), claimed)) {
        throw new Refusal(
          refusalCode.badUserInput,
          'The cursor is not one of this list. Use a cursor that the same field gave with the same arguments.',
        );
      }
      return JSON.parse(text) as SortValues;
    },
  };
};

/** The arguments of a Relay connection as GraphQL hands them in. */
export interface ConnectionArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** A page to read: `size` rows beyond `cursor` (exclusive), walking forward or backward through the sort order. */
export interface Page {
  readonly size: number;
  readonly backward: boolean;
  readonly cursor: SortValues | null;
}

const defaultPageSize = 20;
const maxPageSize = 100;

/**
 * Reads connection arguments into a page: `first`/`after` forward, `last`/`before` backward, 20 rows unless told, at most
 * 100. Anything else (both directions, a negative or larger size, a foreign cursor) is refused, never clamped.
 */
export const readPage = (
  { first, after, last, before }: ConnectionArguments,
  cursors: CursorSealer,
  scope: string,
): Page => {
  const backward = last != null || before != null;
  if (backward && (first != null || after != null)) {
    throw new Refusal(
      refusalCode.badUserInput,
      'Page forward with "first" and "after" or backward with "last" and "before", not both.',
    );
  }
  const size = readPageSize(backward ? last : first, backward ? 'last' : 'first');
  const cursor = backward ? before : after;
  return { size, backward, cursor: cursor == null ? null : cursors.open(scope, cursor) };
};

/** A page size as the client gave it, 20 when it gave none; below 0 or above 100 it is refused. */
export const readPageSize = (size: number | null | undefined, name: string): number => {
  const wanted = size ?? defaultPageSize;
  if (wanted < 0 || wanted > maxPageSize) {
    throw new Refusal(
      refusalCode.badUserInput,
      `"${name}" is ${wanted}, but must be from 0 to ${maxPageSize}.`,
    );
  }
  return wanted;
};

/** A Relay connection over `Node`, without the total, which is counted only when asked for. */
export interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

/**
 * Builds the connection from rows read for `page`: up to `size + 1` of them, in the order of walking. The row beyond the
 * page only tells that there is more. In the other direction there is more exactly when the walk began at a cursor.
 */
export const toConnection = <Node>(
  rows: readonly Node[],
  page: Page,
  cursorOf: (node: Node) => string,
): Connection<Node> => {
  const more = rows.length > page.size;
  const shown = rows.slice(0, page.size);
  if (page.backward) shown.reverse();
  // Sealed when they are asked for: a client that wants the nodes alone pays for none.
  const edges = shown.map((node) => ({
    node,
    get cursor() {
      return cursorOf(node);
    },
  }));
  const began = page.cursor !== null;
  return {
    edges,
    pageInfo: {
      hasNextPage: page.backward ? began : more,
      hasPreviousPage: page.backward ? more : began,
      get startCursor() {
        return edges[0]?.cursor ?? null;
      },
      get endCursor() {
        return edges.at(-1)?.cursor ?? null;
      },
    },
  };
};
