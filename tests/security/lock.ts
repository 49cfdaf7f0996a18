import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The root of the clone. */
export const root = resolve(import.meta.dirname, '../..');

/** The fields of an entry of package-lock.json that are used. */
export interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * The entries of package-lock.json by path: '' is the root, `gateway` a workspace, `node_modules/…` a
 * package.
 */
export type Lock = Readonly<Record<string, LockEntry>>;

/** Reads a JSON file of the clone. The caller casts it. */
export const readJson = (path: string): unknown => JSON.parse(readFileSync(join(root, path), 'utf8'));

/** Reads package-lock.json. */
export const readLock = (): Lock => (readJson('package-lock.json') as { packages: Lock }).packages;

/** An installed package of the lock file, which is neither a workspace nor a link to one. */
export interface Installed extends LockEntry {
  readonly name: string;
  readonly path: string;
  readonly version: string;
}

/** Returns the packages that the lock file installs, with every copy of each. */
export const installed = (lock: Lock): readonly Installed[] =>
  Object.entries(lock).flatMap(([path, entry]) => {
    const at = path.lastIndexOf('node_modules/');
    if (at < 0 || entry.link === true) return [];
    return [{ ...entry, path, name: path.slice(at + 'node_modules/'.length), version: entry.version ?? '' }];
  });

/** The minimum version of a package, and what was wrong with earlier ones. */
export interface Floor {
  readonly name: string;
  readonly atLeast: string;
  readonly below?: string;
  readonly because: string;
}

/** Published vulnerabilities; the lock file must not have earlier versions. */
export const floors: readonly Floor[] = [
  ...['@apollo/gateway', '@apollo/query-planner', '@apollo/federation-internals'].map((name) => ({
    name,
    atLeast: '2.13.2',
    because:
      'CVE-2026-32621 (GHSA-pfjj-6f4p-rvmh) prototype pollution; CVE-2025-32030 (GHSA-q2f9-x4p4-7xmh) fragment expansion; CVE-2025-32031 (GHSA-p2q6-pwh5-m6jr) planner optimization bypass; CVE-2024-43414 (GHSA-fmj9-77q8-g6c4) endless planning',
  })),
  {
    name: '@apollo/composition',
    atLeast: '2.12.1',
    because: 'GHSA-mx7m-j9xf-62hw access control on interfaces bypassed by implementing types',
  },
  {
    name: '@apollo/server',
    atLeast: '5.5.0',
    because:
      'GHSA-9q82-xgwf-vj6h CSRF guard bypassed for reads; CVE-2026-23897 (GHSA-mp6q-xf9x-fwf7) charset denial of service; GHSA-j5g3-5c8r-7qfx',
  },
  {
    name: 'graphql',
    atLeast: '16.15.0',
    below: '17.0.0',
    because:
      'CVE-2026-40476 class: a 60 KB query blocks validation for a minute; CVE-2023-26144 overlap rule; 17 is not supported by Apollo',
  },
  { name: 'jose', atLeast: '6.0.0', because: 'CVE-2022-23540, CVE-2022-23541 class: unchecked algorithms' },
  { name: 'jsonwebtoken', atLeast: '9.0.0', because: 'CVE-2022-23540, CVE-2022-23541 unchecked algorithms' },
  { name: 'jws', atLeast: '3.2.3', because: 'GHSA-869p-cjfg-cm3x signatures not verified' },
];

/** Returns the packages of the lock file that are below their minimum version, each with the reason. */
export const outsideFloors = (lock: Lock): readonly string[] =>
  installed(lock).flatMap(({ name, path, version }) =>
    floors
      .filter((floor) => floor.name === name)
      .filter(
        ({ atLeast, below }) =>
          isOlder(version, atLeast) || (below !== undefined && !isOlder(version, below)),
      )
      .map(({ atLeast, because }) => `${path} is ${version}, needed is ${atLeast}: ${because}`),
  );

/** Whether version `a` precedes version `b`. A pre-release precedes its release. */
export const isOlder = (a: string, b: string): boolean => {
  const [numbersOfA, preReleaseOfA] = parseVersion(a);
  const [numbersOfB, preReleaseOfB] = parseVersion(b);
  for (const [index, number] of numbersOfA.entries()) {
    const other = numbersOfB[index] ?? 0;
    if (number !== other) return number < other;
  }
  return preReleaseOfA && !preReleaseOfB;
};

const parseVersion = (version: string): [readonly number[], boolean] => {
  const match = /^(\d+)\.(\d+)\.(\d+)(-.+)?/.exec(version);
  if (!match) throw new Error(`"${version}" is not a version.`);
  return [match.slice(1, 4).map(Number), match[4] !== undefined];
};
