import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openSource } from './source.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'source-'));
});
afterAll(() => rm(folder, { recursive: true }));

const file = async (name: string, content: string | Buffer) => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

const contentOf = async (path: string, limits?: Parameters<typeof openSource>[1]) => {
  const parts: Buffer[] = [];
  for await (const chunk of (await openSource(path, limits)).chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
};

describe('a source', () => {
  it('a source is inflated if it is gzip, whatever its name, and otherwise read as it is', async () => {
    expect(await contentOf(await file('a.csv', 'plain'))).toBe('plain');
    expect(await contentOf(await file('b.csv', gzipSync('packed')))).toBe('packed');
    // Some tools write several gzip members into one file.
    expect(await contentOf(await file('c', Buffer.concat([gzipSync('one '), gzipSync('two')])))).toBe(
      'one two',
    );
  });

  it('a source reports how many of its bytes are read', async () => {
    const source = await openSource(await file('long', 'x'.repeat(300_000)));
    expect(source).toMatchObject({ name: 'long', size: 300_000 });
    for await (const chunk of source.chunks) expect(source.position()).toBeGreaterThanOrEqual(chunk.length);
    expect(source.position()).toBe(300_000);
  });

  it('a source is refused if it is missing, a folder or empty', async () => {
    await expect(openSource(join(folder, 'none'))).rejects.toThrow(
      /none cannot be read: there is no such file/,
    );
    await expect(openSource(folder)).rejects.toThrow(/is a folder. Name the file in it/);
    await expect(openSource(await file('empty', ''))).rejects.toThrow(/empty is empty/);
    await expect(openSource('/dev/null')).rejects.toThrow(/is not a regular file/);
  });

  it('a source is refused if this account may not read it', async () => {
    const path = await file('secret', 'x');
    await chmod(path, 0o000);
    const opening = openSource(path);
    // Permissions do not apply to root, so that root can read the file.
    if (process.getuid?.() === 0) await expect(opening).resolves.toMatchObject({ name: 'secret' });
    else await expect(opening).rejects.toThrow(/this account may not read it/);
  });

  it('a source is refused if it is an archive that was cut or is damaged', async () => {
    const packed = gzipSync(Array.from({ length: 50_000 }, (_, at) => `${at} ${Math.sqrt(at)}`).join('\n'));
    const cut = await file('cut.gz', packed.subarray(0, 100_000));
    await expect(contentOf(cut)).rejects.toThrow(/cut.gz is damaged or cut off after \d+ inflated bytes/);
    const turned = Buffer.from(packed);
    turned.fill(0, 100_000, 100_050);
    await expect(contentOf(await file('bad.gz', turned))).rejects.toThrow(/bad.gz is damaged or cut off/);
  });

  it('a source is refused early if it is an archive that inflates to far more than its size', async () => {
    const bomb = await file('bomb.gz', gzipSync(Buffer.alloc(200 * 2 ** 20)));
    let bytes = 0;
    const reading = async () => {
      for await (const chunk of (await openSource(bomb)).chunks) bytes += chunk.length;
    };
    await expect(reading()).rejects.toThrow(/bomb.gz inflates to more than an archive of text would/);
    expect(bytes).toBeLessThanOrEqual(64 * 2 ** 20);
    const limits = { maxBytes: 100, freeBytes: 1_000, maxRatio: 1_000 };
    await expect(contentOf(await file('more.gz', gzipSync('x'.repeat(101))), limits)).rejects.toThrow(
      /inflates/,
    );
  });
});
