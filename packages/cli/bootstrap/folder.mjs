import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { BootstrapError } from './run.mjs';

/** Failures that start.mjs has a sentence for. */
const explained = new Set(['EACCES', 'EROFS', 'ENOSPC']);

/**
 * Makes the folder and those above it where they are missing; throws a sentence where a file is in the way or none can
 * be made. Step by step, because Node's own recursive mkdir never ends below /proc.
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
      if (error.code !== 'EEXIST') throw cannotBeWritten(path, error);
      assertFolder(path);
    }
  }
};

/**
 * What is thrown for a file or folder that cannot be made.
 * @param {string} path
 * @param {NodeJS.ErrnoException} error
 */
export const cannotBeWritten = (path, error) =>
  explained.has(error.code)
    ? error
    : new BootstrapError(`${path} cannot be made (${error.code}). Keep the data elsewhere: --data <folder>`);

const existing = (path) => {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Something above it is a file; that one is found next.
    if (error.code === 'ENOTDIR') return undefined;
    throw error;
  }
};

const assertFolder = (path) => {
  if (!existing(path)?.isDirectory()) throw new BootstrapError(`${path} is a file, not a folder.`);
};
