import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { deriveKey } from '@cinegraph/service/hmac';
import { exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose';

/** A new key pair: the public JWK, and the private one encrypted. */
export interface SealedKey {
  readonly id: string;
  readonly publicKey: JWK;
  readonly sealedKey: Uint8Array<ArrayBuffer>;
}

/** Makes signing keys, and opens the private ones. */
export interface KeySealer {
  create(): Promise<SealedKey>;
  /** Returns the private key, or undefined if it was sealed with another secret. */
  open(key: Omit<SealedKey, 'publicKey'>): Promise<CryptoKey | undefined>;
}

const nonceBytes = 12;
const tagBytes = 16;

/**
 * Creates the sealer of signing keys (Ed25519). Private keys are encrypted by AES-256-GCM with a key that is
 * derived from the secret of the graph, and bound to their id, so that a copy of the database signs nothing.
 * Without a secret, which happens only in development, they can be opened by this process alone.
 */
export const createKeySealer = (secret: string | undefined): KeySealer => {
  const key = secret === undefined ? randomBytes(32) : deriveKey(secret, 'signing-key:users');
  return {
    create: async () => {
      const id = randomBytes(12).toString('base64url');
      const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
      const publicKey = { ...(await exportJWK(pair.publicKey)), kid: id, alg: 'EdDSA', use: 'sig' };
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(id));
      const text = JSON.stringify(await exportJWK(pair.privateKey));
      const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
      return { id, publicKey, sealedKey: new Uint8Array([...nonce, ...cipher.getAuthTag(), ...sealed]) };
    },
    open: async ({ id, sealedKey }) => {
      const bytes = Buffer.from(sealedKey);
      let text: string;
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        });
        decipher.setAAD(Buffer.from(id)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
        text = Buffer.concat([
          decipher.update(bytes.subarray(nonceBytes + tagBytes)),
          decipher.final(),
        ]).toString();
      } catch {
        // Sealed with another secret, or changed.
        return undefined;
      }
      return (await importJWK(JSON.parse(text) as JWK, 'EdDSA')) as CryptoKey;
    },
  };
};
