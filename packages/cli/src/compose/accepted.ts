import { StartError } from '@cinegraph/service/start-error';
import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** Something a check would refuse, accepted by name; `element` is the type, field or argument it is about. */
export interface Accepted {
  readonly code: string;
  readonly element: string;
  readonly reason: string;
}

/** What is accepted by its code and element. */
interface Named {
  readonly code: string;
  readonly element: string | undefined;
}

/**
 * Reads a list of what is accepted; a list that does not exist accepts nothing. Throws a StartError for an entry
 * without code, element or reason: each is accepted by itself and with a reason, or not at all.
 */
export const readAccepted = (path: string): readonly Accepted[] => {
  if (!existsSync(path)) return [];
  let entries: unknown;
  try {
    entries = parse(readFileSync(path, 'utf8')) ?? [];
  } catch (error) {
    throw new StartError(`${path} is not valid YAML: ${String(error)}`, { cause: error });
  }
  if (!Array.isArray(entries))
    throw new StartError(`${path} must be a list of entries with code, element and reason.`);
  return entries.map((entry: unknown, index) => {
    const { code, element, reason } = (entry ?? {}) as Partial<Record<keyof Accepted, unknown>>;
    if (
      typeof code !== 'string' ||
      typeof element !== 'string' ||
      typeof reason !== 'string' ||
      !reason.trim()
    ) {
      throw new StartError(`${path}: entry ${index + 1} needs code, element and reason, each a text.`);
    }
    return { code, element, reason };
  });
};

/** Whether the list has an entry for this very code and element. */
export const isAccepted = (found: Named, accepted: readonly Accepted[]): boolean =>
  accepted.some((entry) => matches(entry, found));

/** Entries for what occurs no more; they are to be removed, lest they hide a new one. */
export const unusedEntries = (found: readonly Named[], accepted: readonly Accepted[]): readonly Accepted[] =>
  accepted.filter((entry) => !found.some((one) => matches(entry, one)));

/** The text of a list without its entries: the comment at its head. */
export const withoutEntries = (text: string): string => {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.trim() !== '' && !line.startsWith('#'));
  return first < 0 ? text : `${lines.slice(0, first).join('\n').trimEnd()}\n`;
};

const matches = ({ code, element }: Accepted, found: Named) =>
  found.code === code && (found.element ?? '') === element;
