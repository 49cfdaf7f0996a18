import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** Returns the file's text, or undefined if there is no such file. */
export const readText = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8') : undefined;

/**
 * Replaces the file in one step, so that a gateway that watches it never reads half of it. Returns whether it
 * changed. Throws a StartError if it cannot be written.
 */
export const writeText = (path: string, content: string): boolean => {
  if (readText(path) === content) return false;
  const next = `${path}.${process.pid}.next`;
  try {
    writeFileSync(next, content);
    renameSync(next, path);
  } catch (error) {
    throw new StartError(`Cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
  return true;
};

const shownLines = 12;

/** Returns the first lines that differ between two texts, or undefined if the texts are equal. */
export const difference = (committed: string | undefined, composed: string): string | undefined => {
  if (committed === composed) return undefined;
  if (committed === undefined) return '  the file does not exist';
  const before = committed.split('\n');
  const after = composed.split('\n');
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(before.length, after.length) - head && before.at(-1 - tail) === after.at(-1 - tail))
    tail += 1;
  const changed = [
    ...before.slice(head, before.length - tail).map((line) => `- ${line}`),
    ...after.slice(head, after.length - tail).map((line) => `+ ${line}`),
  ];
  const more = changed.length - shownLines;
  return [
    `  from line ${head + 1}:`,
    ...changed.slice(0, shownLines),
    ...(more > 0 ? [`… and ${more} more`] : []),
  ].join('\n');
};

/** Returns the number with the noun, e.g. "1 change" or "2 changes". */
export const count = ({ length }: readonly unknown[], noun: string): string =>
  `${length} ${noun}${length === 1 ? '' : 's'}`;
