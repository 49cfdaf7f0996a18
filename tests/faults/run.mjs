/*
 * Runs only the fault tests, and prints a table of their results: npm run test:faults [-- --long]
 * [-- <jest's arguments>]. TEST_SEED repeats a run.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const args = process.argv.slice(2);
const long = args.includes('--long');
const folder = await mkdtemp(join(tmpdir(), 'faults-'));
const results = join(folder, 'results.jsonl');
const jest = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--selectProjects',
    'integration',
    'system',
    '--testPathPatterns=tests/faults/',
    '--runInBand',
    ...(long ? ['--testTimeout=1800000'] : []),
    ...args.filter((arg) => arg !== '--long'),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FAULTS: long ? 'long' : 'short', FAULTS_RESULTS: results },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => jest.kill(signal));
process.exitCode = await new Promise((resolve) => jest.once('exit', (code) => resolve(code ?? 1)));
const rows = (await readFile(results, 'utf8').catch(() => ''))
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line));
await rm(folder, { recursive: true, force: true });
if (rows.length > 0) {
  const columns = ['fault', 'runs', 'events', 'lost', 'double', 'note'];
  const cells = [columns, ...rows.map((row) => columns.map((name) => String(row[name] ?? '')))];
  const widths = columns.map((_name, at) => Math.max(...cells.map((row) => row[at].length)));
  for (const row of cells) {
    process.stdout.write(
      `${row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}
