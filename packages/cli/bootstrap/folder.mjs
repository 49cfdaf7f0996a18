import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { BootstrapError } from './run.mjs';

/** Codes of failures that start.mjs explains. */
const explained = new Set(['EACCES', 'EROFS', 'ENOSPC']);

/**
 * Creates the folder and its missing parents. Throws a BootstrapError if a file has that path, or if the
 * folder cannot be created. It creates one folder at a time, because Node's own recursive mkdir never ends
 * below /proc.
 * @param {string} folder
 */
export const ensureFolder = (folder) => {
  const missing = [];
  let at = folder;
  for (; !existing(at); at = dirname(at)) missing.push(at);
  assertFolder(at);
  for (const path of missing.reverse()) {
    try {
      mkdirSync(path);
    } catch (error) {
      if (error.code !== 'EEXIST') throw cannotBeCreated(path, error);
      assertFolder(path);
    }
  }
};

/**
 * Returns the error to throw for a file or folder that cannot be created.
 * @param {string} path
 * @param {NodeJS.ErrnoException} error
 */
export const cannotBeCreated = (path, error) =>
  explained.has(error.code)
    ? error
    : new BootstrapError(
        `${path} cannot be created (${error.code}). Keep the data elsewhere: --data <folder>`,
      );

const existing = (path) => {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // One of its parents is a file; the next step finds it.
    if (error.code === 'ENOTDIR') return undefined;
    throw error;
  }
};

const assertFolder = (path) => {
  if (!existing(path)?.isDirectory()) throw new BootstrapError(`${path} is a file, not a folder.`);
};
