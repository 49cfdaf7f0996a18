import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import type { CursorSealer, SortValues } from './cursors.js';

/** The arguments of a Relay connection, as a resolver gets them. */
export interface ConnectionArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** A page to read: `size` rows after `cursor` in the sort order, or before it if `backward` is true. */
export interface Page {
  readonly size: number;
  readonly backward: boolean;
  readonly cursor: SortValues | null;
}

/** A list that is read in both directions has no default in its schema: it would stand beside `last`. */
const defaultPageSize = 20;
const maxPageSize = 100;

/**
 * Reads connection arguments into a page: `first` and `after` forward, `last` and `before` backward. A page
 * has 20 rows by default and at most 100. Refuses both directions at once, a size out of range and the cursor
 * of another list with BAD_USER_INPUT; a size is never clamped.
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
      { field: last == null ? 'before' : 'last' },
    );
  }
  const size = readPageSize((backward ? last : first) ?? defaultPageSize, backward ? 'last' : 'first');
  const cursor = backward ? before : after;
  return {
    size,
    backward,
    cursor: cursor == null ? null : cursors.open(scope, cursor, backward ? 'before' : 'after'),
  };
};

/** Returns the size of a page, which the argument `name` holds. Refuses a size below 0 or above 100. */
export const readPageSize = (size: number, name: string): number => {
  if (size < 0 || size > maxPageSize) {
    throw new Refusal(
      refusalCode.badUserInput,
      `"${name}" is ${size}, but must be from 0 to ${maxPageSize}.`,
      { field: name },
    );
  }
  return size;
};

/** A Relay connection over `Node`, without its total, which is counted only if the client selects it. */
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
 * Builds a connection from the rows that were read for `page`: at most `size + 1`, in the direction of
 * reading. The extra row only shows that there are more. In the other direction there are more if the page
 * began at a cursor.
 */
export const toConnection = <Node>(
  rows: readonly Node[],
  page: Page,
  cursorOf: (node: Node) => string,
): Connection<Node> => {
  const more = rows.length > page.size;
  const shown = rows.slice(0, page.size);
  if (page.backward) shown.reverse();
  // A cursor is sealed only if it is selected: a client that selects nodes alone pays for none.
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
