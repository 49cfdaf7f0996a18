import { randomBytes } from 'node:crypto';
import { deriveKey, isMac, mac } from '@cinegraph/service/hmac';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** The values of a row by which its list is sorted. The last value is unique. */
export type SortValues = readonly (string | number | null)[];

/**
 * Seals and opens the cursors of Relay connections. A cursor is opaque and authenticated. It is bound to its
 * `scope`: the field, its filter, sort order and viewer.
 */
export interface CursorSealer {
  seal(scope: string, values: SortValues): string;
  /**
   * Refuses with BAD_USER_INPUT a cursor that was forged, changed, or made for another scope. `argument` is
   * the argument that holds the cursor; the refusal names it.
   */
  open(scope: string, cursor: string, argument: string): SortValues;
}

/**
 * Creates the cursor sealer of the subgraph `name`. Its key is derived from the secret of the services, so
 * that replicas accept each other's cursors. Without a secret the key is random, and cursors expire with the
 * process.
 */
export const createCursorSealer = (secret: string | undefined, name: string): CursorSealer => {
  const key = secret === undefined ? randomBytes(32) : deriveKey(secret, `cursor:${name}`);
  const bound = (scope: string, text: string) => `${Buffer.byteLength(scope)}:${scope}${text}`;
  return {
    seal: (scope, values) => {
      const text = JSON.stringify(values);
      return `${Buffer.from(text).toString('base64url')}.${mac(key, bound(scope, text))}`;
    },
    open: (scope, cursor, argument) => {
      const [encoded = '', claimed = '', ...rest] = cursor.length > 4096 ? [] : cursor.split('.');
      const text = Buffer.from(encoded, 'base64url').toString();
      if (rest.length > 0 || !isMac(key, bound(scope, text), claimed)) {
        throw new Refusal(
          refusalCode.badUserInput,
          'The cursor is not one of this list. Use a cursor that the same field gave with the same arguments.',
          { field: argument },
        );
      }
      return JSON.parse(text) as SortValues;
    },
  };
};
