import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { waitForLock } from './lock.mjs';
import { BootstrapError, run } from './run.mjs';

/**
 * Installs the packages of package-lock.json, without install scripts, if node_modules is missing or stale.
 * If nothing has changed, it returns within a few milliseconds. Two processes install one after the other.
 * @param {string} root
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 */
export const ensureInstalled = async (root, signal, say) => {
  if (isInstalled(root)) return;
  const release = await waitForLock(
    join(root, '.data', 'install.lock'),
    'installing',
    ({ pid }) => say(`waiting for process ${pid}, which is installing the packages`),
    signal,
  );
  try {
    if (isInstalled(root)) return;
    if (!fitsLock(root)) await install(root, signal, say);
    mkdirSync(dirname(stampPath(root)), { recursive: true });
    writeFileSync(stampPath(root), [stampOf(root), ...nestedManifests(root)].join('\n'));
  } finally {
    release();
  }
};

const install = async (root, signal, say) => {
  const paths = requiredPackages(root);
  say(`installing the ${paths.length} packages of package-lock.json (about half a minute)`);
  const began = Date.now();
  const ticker = setInterval(() => {
    const unpacked = paths.filter((path) => existsSync(join(root, path, 'package.json'))).length;
    say(`… ${unpacked} of ${paths.length} packages, ${Math.round((Date.now() - began) / 1000)} s`);
  }, 5_000);
  const [command, ...args] = npm();
  const code = await run(
    command,
    [
      ...[...args, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
      // NODE_ENV=production or npm's own settings may exclude the build tools and the PostgreSQL of this
      // platform.
      ...['--include=dev', '--include=optional', '--include=peer'],
    ],
    { cwd: root, signal },
  ).finally(() => clearInterval(ticker));
  if (signal.aborted) return signal.throwIfAborted();
  if (code !== 0) {
    throw new BootstrapError(
      `The packages could not be installed: npm ended with code ${code} (see its messages above).`,
    );
  }
  const [leftOut] = missingPackages(root);
  if (leftOut !== undefined) {
    throw new BootstrapError(`npm installed without an error, but left out ${leftOut}. See: npm config list`);
  }
  say(`installed in ${((Date.now() - began) / 1000).toFixed(1)} s`);
};

/** Returns the packages that package-lock.json requires and npm does not list as installed. */
const missingPackages = (root) => {
  const present = presentPackages(root);
  return requiredPackages(root).filter((path) => !present[path]);
};

/** Returns the folders of the packages that package-lock.json requires on every platform. */
const requiredPackages = (root) =>
  Object.entries(lockedPackages(root))
    .filter(([path, { link, optional, devOptional, peer }]) => {
      return path.includes('node_modules/') && !(link || optional || devOptional || peer);
    })
    .map(([path]) => path);

/** Returns the command of the npm that runs us, or of the one on the path. */
const npm = () => {
  const path = process.env.npm_execpath;
  return path && /\.c?js$/.test(path) && existsSync(path) ? [process.execPath, path] : ['npm'];
};

const stampPath = (root) => join(root, 'node_modules', '.cache', 'cinegraph', 'installed');

const isInstalled = (root) => {
  if (!existsSync(stampPath(root))) return false;
  const [stamp, ...nested] = readFileSync(stampPath(root), 'utf8').split('\n');
  return stamp === stampOf(root) && nested.every((path) => existsSync(join(root, path)));
};

/**
 * Returns the package.json files below node_modules of a workspace, which can be deleted without those of the
 * root.
 */
const nestedManifests = (root) =>
  Object.entries(lockedPackages(root))
    .filter(([path, entry]) => /^(?!node_modules\/).*node_modules\//.test(path) && !entry.optional)
    .map(([path]) => `${path}/package.json`);

const lockedPackages = (root) => readJson(join(root, 'package-lock.json')).packages ?? {};

/** Returns what npm lists as installed, or nothing if its file is missing or incomplete. */
const presentPackages = (root) => {
  try {
    return JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8'))?.packages ?? {};
  } catch {
    return {};
  }
};

/**
 * Reads a JSON file that contains an object. Throws a BootstrapError if it contains anything else.
 * @param {string} path
 */
export const readJson = (path) => {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new BootstrapError(`${path} is not valid JSON: ${error.message.split('\n')[0]}`);
  }
  throw new BootstrapError(`${path} does not contain a JSON object.`);
};

const stampOf = (root) => {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const path of ['package-lock.json', ...manifests(root)]) hash.update(readFileSync(join(root, path)));
  return hash.digest('hex');
};

/**
 * Returns the paths of the package.json files of the root and its workspaces.
 * @param {string} root
 * @returns {string[]}
 */
export const manifests = (root) => {
  const { workspaces = [] } = readJson(join(root, 'package.json'));
  const folders = workspaces.flatMap((pattern) =>
    pattern.endsWith('/*')
      ? readdirSync(join(root, pattern.slice(0, -2)))
          .sort()
          .map((name) => `${pattern.slice(0, -2)}/${name}`)
      : [pattern],
  );
  return ['package.json', ...folders.map((folder) => `${folder}/package.json`)].filter((path) =>
    existsSync(join(root, path)),
  );
};

/**
 * Whether npm lists exactly the packages of package-lock.json as installed, e.g. after an `npm ci` by hand.
 */
const fitsLock = (root) => {
  if (nestedManifests(root).some((path) => !existsSync(join(root, path)))) return false;
  const locked = lockedPackages(root);
  const present = presentPackages(root);
  for (const [path, entry] of Object.entries(locked)) {
    if (!path.includes('node_modules/') || entry.link) continue;
    const found = present[path];
    if (!found ? !(entry.optional && !isForHere(entry)) : found.version !== entry.version) return false;
  }
  return manifestsFit(root, locked);
};

/** Whether each package.json still agrees with the lock file; if not, `npm ci` prints what differs. */
const manifestsFit = (root, packages) =>
  manifests(root).every((path) => {
    const manifest = readJson(join(root, path));
    const locked = packages[path === 'package.json' ? '' : dirname(path)] ?? {};
    return ['dependencies', 'devDependencies', 'optionalDependencies'].every(
      (kind) => sorted(manifest[kind]) === sorted(locked[kind]),
    );
  });

const sorted = (dependencies = {}) => JSON.stringify(Object.entries(dependencies).sort());

/**
 * Whether an optional package is for this system. One that names no system is missing along with the one that
 * needs it.
 */
const isForHere = ({ os, cpu, libc }) =>
  (os !== undefined || cpu !== undefined) &&
  matches(os, process.platform) &&
  matches(cpu, process.arch) &&
  (libc === undefined || matches(libc, libcOfHere()));

const matches = (list, value) =>
  list === undefined ||
  (list.some((item) => !item.startsWith('!')) ? list.includes(value) : !list.includes(`!${value}`));

const libcOfHere = () => (process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl');
