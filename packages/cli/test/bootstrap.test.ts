import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ensureInstalled } from '../bootstrap/install.mjs';
import { takeLock } from '../bootstrap/lock.mjs';
import { readStartOptions, takeDataOption } from '../bootstrap/options.mjs';

describe('a lock', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lock-'));
    path = join(folder, 'start.lock');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('a lock has one holder at a time, and reports it to the others', async () => {
    const taken = await Promise.all(Array.from({ length: 20 }, () => takeLock(path, 'start')));
    expect(taken.filter(({ release }) => release)).toHaveLength(1);
    expect((await takeLock(path, 'import')).holder).toMatchObject({ pid: process.pid, purpose: 'start' });
    for (const { release } of taken) release?.();
    expect((await takeLock(path, 'import')).release).toBeDefined();
  });

  it('the lock of a killed process is taken over by exactly one', async () => {
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

  it('a lock is not kept by a new process with the process id of a dead one', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(path, JSON.stringify({ pid: process.pid, started: 'long ago', purpose: 'start' }));
    expect((await takeLock(path, 'start')).release).toBeDefined();
  });

  it('a lock that was only half written is taken over', async () => {
    await writeFile(path, '{"pid":');
    expect((await takeLock(path, 'start')).release).toBeDefined();
  });

  it.each(['{}', 'null', '{"pid":4194303,"purpose":"start"}', '{"pid":"1","started":"x"}'])(
    'a lock that names no holder is taken over: %s',
    async (text) => {
      await writeFile(path, text);
      // Long after a holder would have written its process id.
      await utimes(path, 1, 1);
      expect((await takeLock(path, 'start')).release).toBeDefined();
    },
  );

  it('a lock below a file is refused with a sentence', async () => {
    await writeFile(path, '');
    await expect(takeLock(join(path, 'start.lock'), 'start')).rejects.toThrow(
      `${path} is a file, not a folder.`,
    );
    await expect(takeLock(join(path, 'below', 'start.lock'), 'start')).rejects.toThrow(
      'is a file, not a folder.',
    );
  });

  (process.platform === 'linux' ? it : it.skip)('a lock below /proc is refused with a sentence', async () => {
    await expect(takeLock('/proc/cinegraph/data/start.lock', 'start')).rejects.toThrow(
      /\/proc\/cinegraph cannot be created \(ENOENT\)|EACCES/,
    );
  });
});

describe('the port of the gateway', () => {
  const before = process.env['PORT'];
  afterEach(() => {
    if (before === undefined) delete process.env['PORT'];
    else process.env['PORT'] = before;
  });
  const portOf = (variable: string | undefined, ...args: string[]) => {
    if (variable === undefined) delete process.env['PORT'];
    else process.env['PORT'] = variable;
    return readStartOptions(args, '/clone').port;
  };

  it('the port is that of --port, else that of PORT, else 4000', () => {
    expect(portOf(undefined)).toBe(4000);
    expect(portOf('')).toBe(4000);
    expect(portOf('4100')).toBe(4100);
    expect(portOf('4100', '--port', '4200')).toBe(4200);
    expect(() => portOf('http')).toThrow('PORT must be a number from 0 to 65535, not "http".');
  });
});

describe('--data', () => {
  it('--data is taken out of the remaining arguments, wherever it stands', () => {
    const resolved = join(process.env['INIT_CWD'] ?? process.cwd(), 'elsewhere');
    const read = (...args: string[]) => takeDataOption(args, '/clone');
    expect(read('catalogue', '--if-empty')).toEqual({
      data: '/clone/.data',
      rest: ['catalogue', '--if-empty'],
    });
    expect(read('--data', '/d', 'catalogue')).toEqual({ data: '/d', rest: ['catalogue'] });
    expect(read('rebuild', '--data=elsewhere', '--check')).toEqual({
      data: resolved,
      rest: ['rebuild', '--check'],
    });
    expect(() => read('catalogue', '--data')).toThrow('--data needs a folder');
    expect(() => read('--data', '--check')).toThrow('--data needs a folder');
  });
});

describe('the install', () => {
  let clone: string;
  const said: string[] = [];
  const install = () => ensureInstalled(clone, new AbortController().signal, (text) => said.push(text));
  const lock = {
    lockfileVersion: 3,
    packages: {
      '': { devDependencies: { tool: '1.0.0' } },
      'node_modules/tool': { version: '1.0.0', dev: true },
    },
  };
  const stamp = () => readFile(join(clone, 'node_modules/.cache/cinegraph/installed'), 'utf8');
  /** A fake npm that records its arguments, and lists these packages as installed. */
  const npm = (packages: unknown) =>
    writeFile(
      join(clone, 'npm.cjs'),
      `const { mkdirSync, writeFileSync } = require('node:fs');
       mkdirSync('node_modules', { recursive: true });
       writeFileSync('called.json', JSON.stringify(process.argv.slice(2)));
       writeFileSync('node_modules/.package-lock.json', ${JSON.stringify(JSON.stringify({ packages }))});`,
    );
  const before = process.env['npm_execpath'];

  beforeEach(async () => {
    clone = await mkdtemp(join(tmpdir(), 'install-'));
    await writeFile(join(clone, 'package.json'), JSON.stringify({ devDependencies: { tool: '1.0.0' } }));
    await writeFile(join(clone, 'package-lock.json'), JSON.stringify(lock));
    process.env['npm_execpath'] = join(clone, 'npm.cjs');
    await npm(lock.packages);
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['npm_execpath'];
    else process.env['npm_execpath'] = before;
    await rm(clone, { recursive: true, force: true });
  });

  it('the install includes build tools even if NODE_ENV is production, and runs once', async () => {
    await install();
    expect(JSON.parse(await readFile(join(clone, 'called.json'), 'utf8'))).toEqual(
      expect.arrayContaining(['ci', '--include=dev', '--include=optional']),
    );
    expect(await stamp()).not.toBe('');
    await rm(join(clone, 'npm.cjs'));
    await install();
  });

  it('an install that left a package out is not complete', async () => {
    await npm({});
    await expect(install()).rejects.toThrow('left out node_modules/tool');
    await expect(stamp()).rejects.toThrow('ENOENT');
  });

  it('the install runs again if npm was killed while it wrote its list of packages', async () => {
    await mkdir(join(clone, 'node_modules'));
    await writeFile(join(clone, 'node_modules', '.package-lock.json'), '{"packages":{');
    await install();
    expect(await stamp()).not.toBe('');
  });

  it('the install says which package.json is not valid JSON', async () => {
    await writeFile(join(clone, 'package.json'), '{ "workspaces": [');
    await expect(install()).rejects.toThrow(`${join(clone, 'package.json')} is not valid JSON: `);
  });
});
