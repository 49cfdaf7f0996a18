import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { takeLock } from '../bootstrap/lock.mjs';

describe('a lock', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lock-'));
    path = join(folder, 'start.lock');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is had by one at a time, and told who has it', async () => {
    const taken = await Promise.all(Array.from({ length: 20 }, () => takeLock(path, 'start')));
    expect(taken.filter(({ release }) => release)).toHaveLength(1);
    expect((await takeLock(path, 'import')).holder).toMatchObject({ pid: process.pid, purpose: 'start' });
    for (const { release } of taken) release?.();
    expect((await takeLock(path, 'import')).release).toBeDefined();
  });

  it('of a process that was killed is taken over by exactly one', async () => {
    const holder = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `import { takeLock } from ${JSON.stringify(new URL('../bootstrap/lock.mjs', import.meta.url).href)};
       await takeLock(${JSON.stringify(path)}, 'start');
       process.kill(process.pid, 'SIGKILL');`,
    ]);
    await new Promise((resolve) => holder.once('close', resolve));
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: holder.pid });
    const taken = await Promise.all(Array.from({ length: 20 }, () => takeLock(path, 'start')));
    expect(taken.filter(({ release }) => release)).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['start.lock']);
  });

  it('is not had by another process that got the number of a dead one', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(path, JSON.stringify({ pid: process.pid, started: 'long ago', purpose: 'start' }));
    expect((await takeLock(path, 'start')).release).toBeDefined();
  });

  it('that was only half written is taken over', async () => {
    await writeFile(path, '{"pid":');
    expect((await takeLock(path, 'start')).release).toBeDefined();
  });
});
