import { StartError } from '@cinegraph/kit/errors';
import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Finding } from './compose-report.js';

/** A warning of composition that is accepted, and why. `element` is the type, field or argument it is about. */
export interface AllowedHint {
  readonly code: string;
  readonly element: string;
  readonly reason: string;
}

/**
 * Reads the allow-list of warnings; a list that does not exist allows none. Throws a StartError for an entry without
 * code, element or reason: a warning is accepted one at a time and with a reason, or not at all.
 */
export const readAllowedHints = (path: string): readonly AllowedHint[] => {
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
    const { code, element, reason } = (entry ?? {}) as Partial<Record<keyof AllowedHint, unknown>>;
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
export const isAllowed = (warning: Finding, allowed: readonly AllowedHint[]): boolean =>
  allowed.some((entry) => matches(entry, warning));

/** Entries whose warning is gone; they are to be removed, lest they hide a new one. */
export const unusedHints = (
  warnings: readonly Finding[],
  allowed: readonly AllowedHint[],
): readonly AllowedHint[] => allowed.filter((entry) => !warnings.some((warning) => matches(entry, warning)));

const matches = ({ code, element }: AllowedHint, warning: Finding) =>
  warning.code === code && (warning.element ?? '') === element;
