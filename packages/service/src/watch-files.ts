import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from './logger.js';

const defaultPollMs = 250;

/** The content of files, and a text that changes whenever one of them does. */
export interface VersionedFiles {
  readonly version: string;
  /** The text of each file, in the order of the paths. */
  readonly texts: readonly string[];
}

/** Watches files once `start` is called, until `stop`. */
export interface FileWatch {
  /** Starts to watch; `read` is what is in use already. */
  start(read: VersionedFiles): void;
  /** Ends the watch, and waits for a check that is under way. */
  stop(): Promise<void>;
}

/** Reads files, with a version from before they are read. Rejects if one of them cannot be read. */
export const readFiles = async (paths: readonly string[]): Promise<VersionedFiles> => {
  const version = await versionOf(paths);
  return { version, texts: await Promise.all(paths.map((path) => readFile(path, 'utf8'))) };
};

/**
 * Polls the version of files, and calls `onChange` with their new texts once they are complete: after a file
 * was replaced, rewritten, or exchanged through a symbolic link anywhere on its path. Files that are missing
 * or cannot be read are logged once; `what` names them there, e.g. `supergraph file`. `onChange` must not
 * reject.
 */
export const watchFiles = (options: {
  paths: readonly string[];
  what: string;
  onChange: (texts: readonly string[], hash: string) => Promise<void>;
  logger: Logger;
  pollMs?: number;
}): FileWatch => {
  const { paths, what, onChange, logger, pollMs = defaultPollMs } = options;
  const path = paths.join(', ');
  let seen: { version: string; hash: string } = { version: '', hash: '' };
  /** Why the files could not be read at the last poll. */
  let unreadable = '';
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let checking: Promise<void> = Promise.resolve();

  /**
   * Checks the files once, and returns their version. The content is read only if the version is that of the
   * `previous` poll too, so that a file which is still being written is left until the next poll.
   */
  const check = async (previous: string): Promise<string> => {
    const version = await versionOf(paths);
    if (version === seen.version || version !== previous) return version;
    if (version === absent) {
      logger.warn({ path }, `the ${what} is missing; the last one is still used`);
      seen = { ...seen, version };
      return version;
    }
    const read = await readFiles(paths);
    if (read.version !== version || (await versionOf(paths)) !== version) return '';
    const hash = hashOf(read.texts);
    const changed = hash !== seen.hash;
    seen = { version, hash };
    if (changed) await onChange(read.texts, hash);
    return version;
  };

  const checkAgain = async (previous: string): Promise<void> => {
    let version = '';
    try {
      version = await check(previous);
      unreadable = '';
    } catch (error) {
      if (unreadable !== String(error)) {
        logger.error({ err: error, path }, `the ${what} cannot be read; the last one is still used`);
      }
      unreadable = String(error);
    }
    if (!stopped) poll(version);
  };

  const poll = (previous: string): void => {
    timer = setTimeout(() => {
      checking = checkAgain(previous);
    }, pollMs).unref();
  };

  return {
    start: ({ version, texts }) => {
      seen = { version, hash: hashOf(texts) };
      poll(version);
    },
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await checking;
    },
  };
};

const absent = 'absent';

/** Returns a text that changes whenever a file does, without reading the files. */
const versionOf = async (paths: readonly string[]): Promise<string> => {
  try {
    const versions = await Promise.all(
      paths.map(async (path) => {
        const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
        return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
      }),
    );
    return versions.join(' ');
  } catch {
    return absent;
  }
};

const hashOf = (texts: readonly string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16);
