import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { manifests } from './install.mjs';
import { waitForLock } from './lock.mjs';
import { BootstrapError, run } from './run.mjs';

/** Folders without sources of a build: generated ones, tests, documents. */
const ignored = new Set([
  'node_modules',
  'dist',
  'generated',
  'test',
  'tests',
  '.turbo',
  '.data',
  '.git',
  'docs',
]);

/** @typedef {{ name: string, within: string, sources: string[], filter: string[] }} Scope */

/** The scope of all workspaces. */
export const everything = { name: 'all', within: '', sources: ['prisma'], filter: [] };

/** The scope of the command line alone, so that composing works while a subgraph does not compile. */
export const commandLine = {
  name: 'cli',
  within: 'packages/',
  sources: [],
  filter: ['--filter=@cinegraph/cli...'],
};

/**
 * Generates and builds what is stale, using turbo. If no source has changed since the last build, it starts
 * and prints nothing. Two processes build one after the other.
 * @param {string} root
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 * @param {Scope} scope
 */
export const ensureBuilt = async (root, signal, say, scope = everything) => {
  if (isBuilt(root, scope)) return;
  await alone(root, signal, say, async () => {
    const state = stateOf(root, scope);
    if (isBuilt(root, scope, state)) return;
    say('generating and building');
    const began = Date.now();
    rmSync(stampPath(root, scope), { force: true });
    await turbo(root, signal, say, 'build', scope.filter);
    say(`built in ${((Date.now() - began) / 1000).toFixed(1)} s`);
    mkdirSync(dirname(stampPath(root, scope)), { recursive: true });
    writeFileSync(stampPath(root, scope), state);
  });
};

/**
 * Generates what is stale, as lint and the compiler need it, without a build.
 * @param {string} root
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 */
export const generate = (root, signal, say) =>
  alone(root, signal, say, () => turbo(root, signal, say, 'generate', []));

/** Runs `work` while no other process generates or builds. */
const alone = async (root, signal, say, work) => {
  const release = await waitForLock(
    join(root, '.data', 'build.lock'),
    'building',
    ({ pid }) => say(`waiting for process ${pid}, which is building`),
    signal,
  );
  try {
    await work();
  } finally {
    release();
  }
};

/** Runs a task in all workspaces. The output of turbo is printed only if the task fails. */
const turbo = async (root, signal, say, task, filter) => {
  const began = Date.now();
  const ticker = setInterval(() => {
    if (process.stdout.isTTY) say(`… still building, ${Math.round((Date.now() - began) / 1000)} s`);
  }, 10_000);
  let output = '';
  const code = await run(
    process.execPath,
    [
      join(root, 'node_modules', 'turbo', 'bin', 'turbo'),
      'run',
      task,
      '--output-logs=errors-only',
      ...filter,
    ],
    {
      cwd: root,
      signal,
      onOutput: (text) => (output += text),
      env: {
        ...process.env,
        TURBO_TELEMETRY_DISABLED: '1',
        TURBO_NO_UPDATE_NOTIFIER: '1',
        DO_NOT_TRACK: '1',
        // turbo is started by its path and not by npm, so it needs the path of the root's binaries.
        PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`,
      },
    },
  ).finally(() => clearInterval(ticker));
  if (signal.aborted) return signal.throwIfAborted();
  if (code !== 0) {
    process.stderr.write(output);
    throw new BootstrapError(`The build failed (see the messages above); turbo ended with code ${code}.`);
  }
};

const stampPath = (root, { name }) => join(root, 'node_modules', '.cache', 'cinegraph', `built-${name}`);

const isBuilt = (root, scope, state = undefined) =>
  existsSync(stampPath(root, scope)) &&
  workspaces(root, scope).every((folder) => existsSync(join(root, folder, 'dist', 'tsconfig.tsbuildinfo'))) &&
  readFileSync(stampPath(root, scope), 'utf8') === (state ?? stateOf(root, scope));

const workspaces = (root, { within }) =>
  manifests(root)
    .filter((path) => path !== 'package.json' && path.startsWith(within))
    .map((path) => dirname(path));

/**
 * Returns a hash over path, size and modification time of each source, which detects changes without reading
 * the files.
 */
const stateOf = (root, scope) => {
  const hash = createHash('sha256');
  const add = (path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (ignored.has(entry.name)) continue;
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && !entry.name.endsWith('.test.ts')) add(path);
    }
  };
  for (const path of ['package-lock.json', 'turbo.json', 'tsconfig.base.json']) add(path);
  for (const folder of [...workspaces(root, scope), ...scope.sources]) walk(folder);
  return hash.digest('hex');
};
