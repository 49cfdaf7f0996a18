import type { Clock } from '@cinegraph/service/clock';
import type { CryptoKey, JSONWebKeySet, JWK } from 'jose';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import { publishedAheadMs, publishedKeys, signingKeys } from '../key-times.js';
import type { KeySealer } from '../sealed-keys.js';

/** A private key that signs now, and its id. */
export interface Signer {
  readonly id: string;
  readonly key: CryptoKey;
}

/** The signing keys, which all replicas share in the database. */
export interface SigningKeys {
  /**
   * Returns the key that signs now. If there is none that can be opened with the secret of the graph, it
   * makes one.
   */
  current(): Promise<Signer>;
  /** Returns the public keys by which access tokens are verified (RFC 7517). */
  published(): Promise<JSONWebKeySet>;
  /**
   * Adds a key, which is published at once and signs ten minutes later. Returns its id and that time. Keys
   * that are not published any more are deleted.
   */
  rotate(): Promise<{ readonly id: string; readonly signsFrom: Date }>;
  /** Deletes all keys and makes another one, which signs at once: for a key that leaked. Returns its id. */
  replace(): Promise<string>;
}

/** The advisory lock under which keys are added and deleted. The number has no meaning. */
const lockKeys = 'SELECT pg_advisory_xact_lock(4203011)';

/** Creates the signing keys on the database of users. */
export const createSigningKeys = (tools: {
  readonly prisma: PrismaClient;
  readonly clock: Clock;
  readonly sealer: KeySealer;
}): SigningKeys => {
  const { prisma, clock, sealer } = tools;
  /** Private keys that were opened, by their id. */
  const opened = new Map<string, CryptoKey>();

  const findSigner = async (tx: Prisma.TransactionClient): Promise<Signer | undefined> => {
    const keys = await tx.signingKey.findMany();
    for (const { id, sealedKey } of signingKeys(keys, clock.now())) {
      const key = opened.get(id) ?? (await sealer.open({ id, sealedKey }));
      if (!key) continue;
      opened.set(id, key);
      return { id, key };
    }
    return undefined;
  };
  const add = async (tx: Prisma.TransactionClient, signsFrom: Date): Promise<string> => {
    const { id, publicKey, sealedKey } = await sealer.create();
    await tx.signingKey.create({
      data: {
        id,
        publicKey: publicKey,
        sealedKey,
        createdAt: clock.now(),
        signsFrom,
      },
    });
    return id;
  };
  const underLock = <Result>(work: (tx: Prisma.TransactionClient) => Promise<Result>): Promise<Result> =>
    prisma.$transaction(async (tx) => {
      await tx.$executeRawUnsafe(lockKeys);
      return work(tx);
    });

  return {
    current: async () => {
      const found = await findSigner(prisma);
      if (found) return found;
      return underLock(async (tx) => {
        // Another replica may have made one meanwhile.
        const other = await findSigner(tx);
        if (other) return other;
        await add(tx, clock.now());
        const made = await findSigner(tx);
        if (!made) throw new Error('a new signing key cannot be opened');
        return made;
      });
    },
    published: async () => {
      const keys = await prisma.signingKey.findMany();
      return { keys: publishedKeys(keys, clock.now()).map(({ publicKey }) => publicKey as JWK) };
    },
    rotate: () =>
      underLock(async (tx) => {
        const now = clock.now();
        const signsFrom = new Date(now.getTime() + publishedAheadMs);
        const keys = await tx.signingKey.findMany();
        const kept = publishedKeys(keys, now).map(({ id }) => id);
        await tx.signingKey.deleteMany({ where: { id: { notIn: kept } } });
        return { id: await add(tx, signsFrom), signsFrom };
      }),
    replace: () =>
      underLock(async (tx) => {
        await tx.signingKey.deleteMany();
        return add(tx, clock.now());
      }),
  };
};
