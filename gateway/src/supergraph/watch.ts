import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from '@cinegraph/service/logger';

const defaultPollMs = 250;

/** Watches a file once `start` is called, until `stop`. */
export interface FileWatch {
  /**
   * Starts to watch; `text` is the content that was read and `version` the version of the file at that time.
   */
  start(version: string, text: string): void;
  /** Ends the watch, and waits for a check that is under way. */
  stop(): Promise<void>;
}

/**
 * Polls the version of a file, and calls `onChange` with its new content once that is complete: after the
 * file was replaced, rewritten, or exchanged through a symbolic link anywhere on its path. A file that is
 * missing or cannot be read is logged once. `onChange` must not reject.
 */
export const watchFile = (options: {
  path: string;
  onChange: (text: string, hash: string) => Promise<void>;
  logger: Logger;
  pollMs?: number;
}): FileWatch => {
  const { path, onChange, logger, pollMs = defaultPollMs } = options;
  let seen: { version: string; hash: string } = { version: '', hash: '' };
  /** Why the file could not be read at the last poll. */
  let unreadable = '';
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let checking: Promise<void> = Promise.resolve();

  /**
   * Checks the file once, and returns its version. The content is read only if the version is that of the
   * `previous` poll too, so that a file which is still being written is left until the next poll.
   */
  const check = async (previous: string): Promise<string> => {
    const version = await versionOf(path);
    if (version === seen.version || version !== previous) return version;
    if (version === absent) {
      logger.warn({ path }, 'the supergraph file is missing; the last supergraph is still served');
      seen = { ...seen, version };
      return version;
    }
    const text = await readFile(path, 'utf8');
    if ((await versionOf(path)) !== version) return '';
    const hash = hashOf(text);
    const changed = hash !== seen.hash;
    seen = { version, hash };
    if (changed) await onChange(text, hash);
    return version;
  };

  const checkAgain = async (previous: string): Promise<void> => {
    let version = '';
    try {
      version = await check(previous);
      unreadable = '';
    } catch (error) {
      if (unreadable !== String(error)) {
        logger.error(
          { err: error, path },
          'the supergraph file cannot be read; the last one is still served',
        );
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
    start: (version, text) => {
      seen = { version, hash: hashOf(text) };
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

/** Returns a text that changes whenever the file does, without reading the file. */
export const versionOf = async (path: string): Promise<string> => {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return absent;
  }
};

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
