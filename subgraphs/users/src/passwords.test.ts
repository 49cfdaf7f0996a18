import { describe, expect, it } from '@jest/globals';
import { createPasswordHasher } from './passwords.js';

const never = 'the password of nobody';

/** A hasher whose computations end when the test lets them, with the arguments of each. */
const openHasher = () => {
  const calls: { readonly password: string; readonly cost: unknown; readonly end: () => void }[] = [];
  const hasher = createPasswordHasher(
    (password, _salt, cost) =>
      new Promise((resolve) => {
        calls.push({ password, cost, end: () => resolve(Buffer.alloc(32)) });
      }),
  );
  return { hasher, calls };
};

describe('createPasswordHasher', () => {
  it('a hash verifies its password and no other one', async () => {
    const { hash, verify } = createPasswordHasher();
    const stored = await hash('correct horse battery');
    expect(await verify('correct horse battery', stored)).toBe(true);
    expect(await verify('correct horse batterY', stored)).toBe(false);
  });

  it('a hash with other parameters is verified by these', async () => {
    const { verify } = createPasswordHasher();
    // RFC 7914, section 12: scrypt (P="password", S="NaCl", N=1024, r=8, p=16), the first 32 bytes.
    const key = Buffer.from('fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162', 'hex');
    const stored = `$scrypt$ln=10,r=8,p=16$TmFDbA$${key.toString('base64').replace(/=+$/, '')}`;
    expect(await verify('password', stored)).toBe(true);
    expect(await verify('Password', stored)).toBe(false);
  });

  it('an unknown account costs the same computation as a wrong password, and is never right', async () => {
    const { hasher, calls } = openHasher();
    const stored = hasher.hash('correct horse battery');
    calls[0]?.end();
    const wrong = hasher.verify(never, await stored);
    const unknown = hasher.verify(never, undefined);
    expect(calls).toHaveLength(3);
    expect(calls.slice(1).map(({ password, cost }) => ({ password, cost }))).toEqual([
      { password: never, cost: { ln: 15, r: 8, p: 3 } },
      { password: never, cost: { ln: 15, r: 8, p: 3 } },
    ]);
    for (const { end } of calls) end();
    expect(await unknown).toBe(false);
    await wrong;
  });

  it('of a hundred calls at once two run, twenty wait their turn, and the others are refused with OVERLOADED', async () => {
    const { hasher, calls } = openHasher();
    const outcomes = Array.from({ length: 100 }, () =>
      hasher.hash('x').then(
        () => 'done',
        (error: unknown) => (error as { code: string }).code,
      ),
    );
    const ended = new Set<object>();
    let most = 0;
    while (ended.size < 22) {
      await new Promise((resolve) => setImmediate(resolve));
      const running = calls.filter((call) => !ended.has(call));
      most = Math.max(most, running.length);
      for (const call of running) {
        ended.add(call);
        call.end();
      }
    }
    const codes = await Promise.all(outcomes);
    expect(most).toBe(2);
    expect(codes.filter((code) => code === 'done')).toHaveLength(22);
    expect(codes.filter((code) => code === 'OVERLOADED')).toHaveLength(78);
    // The turns are free again.
    void hasher.hash('x');
    expect(calls).toHaveLength(23);
  });

  it('a computation that fails gives its turn to the next one', async () => {
    let fails = true;
    const { hash } = createPasswordHasher(async () => {
      if (!fails) return Buffer.alloc(32);
      fails = false;
      throw new Error('no memory');
    });
    await expect(hash('x')).rejects.toThrow('no memory');
    for (let at = 0; at < 3; at += 1) expect(await hash('x')).toMatch(/^\$scrypt/);
  });
});
