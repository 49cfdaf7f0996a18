import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { deriveKey } from '@cinegraph/service/hmac';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** The values of a row by which its list is sorted. The last value is unique. */
export type SortValues = readonly (string | number | null)[];

/**
 * Seals and opens the cursors of Relay connections. A cursor is opaque: encrypted, authenticated, and bound
 * to its `scope`, which is the field, its filter, sort order and viewer. Equal values get equal cursors, so
 * that a response may be cached.
 */
export interface CursorSealer {
  seal(scope: string, values: SortValues): string;
  /**
   * Refuses with BAD_USER_INPUT a cursor that was forged, changed, or made for another scope. `argument` is
   * the argument that holds the cursor; the refusal names it.
   */
  open(scope: string, cursor: string, argument: string): SortValues;
}

const nonceBytes = 12;
const tagBytes = 16;

/**
 * Creates the cursor sealer of the subgraph `name`. Its keys are derived from the secret of the services, so
 * that replicas accept each other's cursors. Without a secret the keys are random, and cursors expire with
 * the process.
 */
export const createCursorSealer = (secret: string | undefined, name: string): CursorSealer => {
  const keyOf = (purpose: string) =>
    secret === undefined ? randomBytes(32) : deriveKey(secret, `${purpose}:${name}`);
  const key = keyOf('cursor');
  const nonceKey = keyOf('cursor-nonce');
  return {
    seal: (scope, values) => {
      const text = JSON.stringify(values);
      // A nonce that follows from the message is never used for another message.
      const message = `${Buffer.byteLength(scope)}:${scope}${text}`;
      const nonce = createHmac('sha256', nonceKey).update(message).digest().subarray(0, nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(scope));
      const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
    },
    open: (scope, cursor, argument) => {
      try {
        const bytes = Buffer.from(cursor.length > 4096 ? '' : cursor, 'base64url');
        // Another spelling of the same bytes is a changed cursor.
        if (bytes.toString('base64url') !== cursor) throw new Error('not base64url');
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        });
        decipher.setAAD(Buffer.from(scope)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
        const text = Buffer.concat([
          decipher.update(bytes.subarray(nonceBytes + tagBytes)),
          decipher.final(),
        ]);
        return JSON.parse(text.toString()) as SortValues;
      } catch {
        throw new Refusal(
          refusalCode.badUserInput,
          'The cursor is not one of this list. Use a cursor that the same field gave with the same arguments.',
          { field: argument },
        );
      }
    },
  };
};
