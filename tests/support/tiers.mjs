// Sorts test files into tiers by what they use, for jest.config.mjs:
//   unit         src/**/*.test.ts: pure functions, nothing is started
//   integration  one PostgreSQL for the run, HTTP on port 0
//   system       child processes, a real Kafka, or seconds of load and faults

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const startsMore = /from 'node:child_process'|from '@cinegraph\/testing\/kafka|from '@cinegraph\/local\//;
/** Files that load or break a database or subgraph for seconds, or ask thousands of times, by their names. */
const takesLong =
  /\/(race|faults|search-load|long-running|reload|lost-log|connections|movie-list|differential|server-suite|null-.+|.+-parallel)\.test\.ts$/;

/** Packages whose sources start processes. */
const startsProcesses = /\/packages\/(cli|local)\/test\//;

/**
 * Returns true if a test file, or a file of the tests that it imports, starts child processes or a Kafka.
 * @param {string} path
 * @param {Set<string>} seen
 * @returns {boolean}
 */
const isSystemTest = (path, seen = new Set()) => {
  if (seen.has(path) || !existsSync(path)) return false;
  seen.add(path);
  const text = readFileSync(path, 'utf8');
  if (startsMore.test(text) || startsProcesses.test(path)) return true;
  return [...text.matchAll(/from '(\.{1,2}\/[^']+)'/g)]
    .map(([, name]) => resolve(dirname(path), name.replace(/\.js$/, '.ts')))
    .filter((imported) => /\/tests?\//.test(imported))
    .some((imported) => isSystemTest(imported, seen));
};

const foldersOf = (pattern) =>
  readdirSync(join(root, pattern), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(root, pattern, name));

const testsIn = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => join(folder, name))
    : [];

const beyondUnit = [
  ...[...foldersOf('packages'), ...foldersOf('subgraphs'), join(root, 'gateway')].flatMap((folder) =>
    testsIn(join(folder, 'test')),
  ),
  ...testsIn(join(root, 'tests')),
];

const isSystem = (path) => takesLong.test(path) || isSystemTest(path);

/** Paths of the tests that need one PostgreSQL at most. */
export const integrationTests = beyondUnit.filter((path) => !isSystem(path));

/** Paths of all other tests. */
export const systemTests = beyondUnit.filter((path) => isSystem(path));
