import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

const root = fileURLToPath(new URL('../../..', import.meta.url));
const name = '@apollo/federation-subgraph-compatibility-tests';
const version = '1.2.1';
const integrity = 'aR8+SS8lgMa+DEc1Gjn7d1IeqJGxegfwdFhDiF2eT6T0fGujCYEgJQXqPKMXRViIiFtoqxGktvpjJmILrC5coA==';

/**
 * Unpacks the suite into `.data`, once for each clone, and returns its folder. The package is no dependency
 * of ours: it brings a process manager and a second Jest, which its tests do not need. Undefined if the
 * registry cannot be reached; with `CI` set it throws then.
 */
export const unpackSuite = async (): Promise<string | undefined> => {
  const folder = join(root, '.data', 'compatibility', version);
  const unpacked = join(folder, 'package');
  if (existsSync(unpacked)) return unpacked;
  await mkdir(folder, { recursive: true });
  try {
    await run('npm', ['pack', '--silent', '--pack-destination', folder, `${name}@${version}`]);
  } catch (error) {
    if (process.env['CI']) throw error;
    return undefined;
  }
  const archive = join(folder, `apollo-federation-subgraph-compatibility-tests-${version}.tgz`);
  const hash = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (hash !== integrity) throw new Error(`${archive} is not the package that it should be.`);
  await run('tar', ['-xzf', archive, '-C', folder]);
  return unpacked;
};

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
};

/** Starts a subgraph of the suite, which is one bundled file, on a free port instead of its own. */
export const startBundledSubgraph = async (
  suite: string,
  subgraph: string,
  fixedPort: string,
): Promise<{ url: string; sdl: string; stop: () => Promise<void> }> => {
  const folder = join(suite, 'dist', 'subgraphs', subgraph);
  const port = await freePort();
  const bundle = await readFile(join(folder, 'index.js'), 'utf8');
  await writeFile(join(folder, 'start.js'), bundle.replaceAll(fixedPort, String(port)));
  const child = spawn(process.execPath, ['start.js'], { cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'exit');
  return {
    url: `http://localhost:${port}/`,
    sdl: await readFile(join(folder, `${subgraph}.graphql`), 'utf8'),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
};

/** A replacement for modules of which the tests of the suite need nothing but `fetch`. */
const fetchModule = `const known = 'http://localhost:4000/';
module.exports = {
  __esModule: true,
  default: (url, init) => fetch(String(url).replace(known, process.env.SUPERGRAPH_URL), init),
};`;

/** The result of the suite: the failed tests with their messages, and how many passed. */
export interface SuiteResult {
  readonly passed: number;
  readonly failed: readonly string[];
}

/** Runs the tests of the suite with our Jest. */
export const runSuite = async (
  suite: string,
  urls: { products: string; supergraph: string },
): Promise<SuiteResult> => {
  const dist = join(suite, 'dist');
  const fetchPath = join(dist, 'fetch.js');
  await writeFile(fetchPath, fetchModule);
  const config = {
    rootDir: dist,
    testEnvironment: 'node',
    testMatch: ['<rootDir>/tests/**/*.test.js'],
    testPathIgnorePatterns: [],
    modulePathIgnorePatterns: [],
    transform: {},
    haste: { retainAllFiles: true },
    moduleNameMapper: { '^make-fetch-happen$': fetchPath, '/logging$': join(dist, 'silent.js') },
  };
  await writeFile(join(dist, 'silent.js'), 'exports.infoLog = () => undefined;');
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  const report = join(suite, 'report.json');
  const args = [jest, '--ci', '--json', '--outputFile', report, '--config', JSON.stringify(config)];
  const env = { ...process.env, PRODUCTS_URL: urls.products, SUPERGRAPH_URL: urls.supergraph };
  await run(process.execPath, args, { cwd: dist, env }).catch(() => undefined);
  const { numPassedTests, testResults } = JSON.parse(await readFile(report, 'utf8')) as {
    numPassedTests: number;
    testResults: readonly {
      message: string;
      assertionResults: readonly { fullName: string; status: string; failureMessages: readonly string[] }[];
    }[];
  };
  return {
    passed: numPassedTests,
    failed: testResults.flatMap(({ assertionResults, message }) => [
      ...(assertionResults.length === 0 ? [message] : []),
      ...assertionResults
        .filter(({ status }) => status !== 'passed')
        .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join()}`),
    ]),
  };
};
