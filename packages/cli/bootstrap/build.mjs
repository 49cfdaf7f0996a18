import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateStale } from './generate.mjs';
import { manifests } from './install.mjs';
import { waitForLock } from './lock.mjs';
import { transpile } from './transpile.mjs';

/** Folders without sources of a build: generated ones, tests, documents. */
const ignored = new Set(['node_modules', 'dist', 'generated', 'test', 'tests', '.data', '.git', 'docs']);

/** @typedef {{ name: string, within: string, sources: string[] }} Scope */

/** The scope of all workspaces. */
export const everything = { name: 'all', within: '', sources: ['prisma'] };

/** The scope of the command line alone, so that composing works while a subgraph cannot be generated. */
export const commandLine = { name: 'cli', within: 'packages/', sources: [] };

/**
 * Generates and transpiles what is stale. If no source has changed since the last build, it starts and prints
 * nothing. Two processes build one after the other.
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
    const began = Date.now();
    rmSync(stampPath(root, scope), { force: true });
    if (scope === everything) await generateStale(root, signal, say);
    await transpile(root, workspaces(root, scope));
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
  alone(root, signal, say, () => generateStale(root, signal, say));

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

const stampPath = (root, { name }) => join(root, 'node_modules', '.cache', 'cinegraph', `built-${name}`);

const isBuilt = (root, scope, state = undefined) =>
  existsSync(stampPath(root, scope)) &&
  workspaces(root, scope).every((folder) => existsSync(join(root, folder, 'dist'))) &&
  readFileSync(stampPath(root, scope), 'utf8') === (state ?? stateOf(root, scope));

/**
 * Returns the folders of the workspaces in a scope, relative to `root`.
 * @param {string} root
 * @param {Scope} scope
 */
export const workspaces = (root, { within } = everything) =>
  manifests(root)
    .filter((path) => path !== 'package.json' && path.startsWith(within))
    .map((path) => dirname(path));

const stateOf = (root, scope) =>
  stateOfSources(root, ['package-lock.json', ...workspaces(root, scope), ...scope.sources]);

/**
 * Returns a hash over path, size and modification time of each source in these files and folders, which
 * detects changes without reading the files. A path that does not exist has no sources.
 * @param {string} root
 * @param {readonly string[]} paths relative to `root`
 */
export const stateOfSources = (root, paths) => {
  const hash = createHash('sha256');
  const add = (path) => {
    // An editor replaces a file by removing it first.
    const found = statSync(join(root, path), { throwIfNoEntry: false });
    if (found?.isDirectory()) {
      for (const name of readdirSync(join(root, path)).sort()) {
        if (!ignored.has(name) && !name.endsWith('.test.ts')) add(`${path}/${name}`);
      }
    } else if (found) hash.update(`${path} ${found.size} ${found.mtimeMs}\n`);
  };
  for (const path of paths) add(path);
  return hash.digest('hex');
};
