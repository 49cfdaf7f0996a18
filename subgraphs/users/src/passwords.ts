import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** Hashes and verifies passwords. A call that finds too many waiting is refused with `OVERLOADED`. */
export interface PasswordHasher {
  /** Returns a salted hash as a PHC string, which has the parameters that it was made with. */
  hash(password: string): Promise<string>;
  /**
   * Whether the hash is that of the password. Without a hash it returns false after the same work, so that
   * the time does not show whether there is an account.
   */
  verify(password: string, hash: string | undefined): Promise<boolean>;
}

/** The cost of scrypt: N = 2^ln, block size r, parallelisation p. It needs 128 · N · r bytes. */
interface Cost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/**
 * OWASP's Password Storage Cheat Sheet names N = 2^15, r = 8, p = 3 among its equivalent minimums: 32 MiB,
 * about 0.2 s (docs/decisions/0047).
 */
const cost: Cost = { ln: 15, r: 8, p: 3 };

const saltBytes = 16;
const hashBytes = 32;

/** How many hashes are computed at once. libuv's pool has four threads, which files and DNS need, too. */
const maxRunning = 2;

/** How many may wait: two to five seconds of work, which fits into the deadline of a request. */
const maxWaiting = 20;

/** Computes scrypt in libuv's pool, so that the event loop goes on. */
const derive = (password: string, salt: Buffer, { ln, r, p }: Cost): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const options = { N: 2 ** ln, r, p, maxmem: 129 * 2 ** ln * r + 128 * r * p };
    // NFKC: a password typed on another keyboard may have other code points (NIST SP 800-63B).
    scrypt(password.normalize('NFKC'), salt, hashBytes, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });

/**
 * Creates the hasher. At most two hashes are computed at once and twenty wait, so that a burst of logins
 * needs 64 MiB at most; further calls are refused. `compute` is scrypt; a test passes its own.
 */
export const createPasswordHasher = (compute = derive): PasswordHasher => {
  let running = 0;
  const waiting: (() => void)[] = [];
  const inTurn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running >= maxRunning) {
      if (waiting.length >= maxWaiting) {
        throw new Refusal(refusalCode.overloaded, 'Too many people log in at the moment. Try again later.');
      }
      // Who is woken takes over the turn of the one that ended.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
  const nobody = { cost, salt: randomBytes(saltBytes), key: randomBytes(hashBytes) };
  return {
    hash: (password) =>
      inTurn(async () => {
        const salt = randomBytes(saltBytes);
        return format({ cost, salt, key: await compute(password, salt, cost) });
      }),
    verify: (password, hash) =>
      inTurn(async () => {
        const stored = hash === undefined ? nobody : parse(hash);
        const key = await compute(password, stored.salt, stored.cost);
        return timingSafeEqual(key, stored.key) && stored !== nobody;
      }),
  };
};

interface StoredHash {
  readonly cost: Cost;
  readonly salt: Buffer;
  readonly key: Buffer;
}

const format = ({ cost: { ln, r, p }, salt, key }: StoredHash): string =>
  `$scrypt$ln=${ln},r=${r},p=${p}$${toText(salt)}$${toText(key)}`;

/** A PHC string has base64 without padding. */
const toText = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

const parse = (hash: string): StoredHash => {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/]+)\$([\w+/]+)$/.exec(hash);
  if (!match) throw new Error('a stored password hash is not of scrypt');
  const [, ln, r, p, salt = '', key = ''] = match;
  return {
    cost: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  };
};
