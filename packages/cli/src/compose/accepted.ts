import { StartError } from '@cinegraph/service/start-error';
import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** An entry that accepts one finding of a check; `element` is the type, field or argument of the finding. */
export interface Accepted {
  readonly code: string;
  readonly element: string;
  readonly reason: string;
}

/** A finding that can be accepted by its code and element. */
interface Named {
  readonly code: string;
  readonly element: string | undefined;
}

/**
 * Reads a list of accepted findings; a missing file is an empty list. Throws a StartError for an entry
 * without code, element or reason, because every acceptance needs its reason.
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
      throw new StartError(`${path}: entry ${index + 1} needs code, element and reason, each a string.`);
    }
    return { code, element, reason };
  });
};

/** Whether the list has an entry for this code and element. */
export const isAccepted = (found: Named, accepted: readonly Accepted[]): boolean =>
  accepted.some((entry) => matches(entry, found));

/**
 * Returns the entries without a finding. They have to be removed, because they would accept a new one unseen.
 */
export const unusedEntries = (found: readonly Named[], accepted: readonly Accepted[]): readonly Accepted[] =>
  accepted.filter((entry) => !found.some((one) => matches(entry, one)));

/** Returns the text of a list without its entries: only the comment at its beginning. */
export const withoutEntries = (text: string): string => {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.trim() !== '' && !line.startsWith('#'));
  return first < 0 ? text : `${lines.slice(0, first).join('\n').trimEnd()}\n`;
};

const matches = ({ code, element }: Accepted, found: Named) =>
  found.code === code && (found.element ?? '') === element;
