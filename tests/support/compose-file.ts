import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { root } from './image.js';

/** A service of docker-compose.yml, as far as ours use the format. */
export interface ComposeService {
  readonly image: string;
  readonly build?: { readonly context: string; readonly args: Readonly<Record<string, string>> };
  readonly profiles: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<
    Record<
      string,
      {
        readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
        readonly required?: boolean;
      }
    >
  >;
  readonly [setting: string]: unknown;
}

/** The text of the docker-compose.yml that is shipped. */
export const composeText = readFileSync(`${root}docker-compose.yml`, 'utf8');

/** Its services by name, anchors and merges resolved, `${…}` expanded with `variables`. */
export const readComposeFile = (
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, ComposeService>> => {
  const document: unknown = parse(composeText, { merge: true });
  return (expandAll(document, variables) as { services: Record<string, ComposeService> }).services;
};

/**
 * Expands `${NAME}`, `${NAME:-default}`, `${NAME-default}` (where it is not set at all) and
 * `${NAME:?message}` as Compose does, nested ones too; `$$` is a dollar sign. Throws the message where a
 * variable that must be set is not.
 */
export const expand = (text: string, variables: Readonly<Record<string, string>>): string => {
  let result = text.replaceAll('$$', '\0');
  const inner = /\$\{(\w+)(?:(:-|:\?|-)([^{}]*))?\}/;
  for (let found = inner.exec(result); found; found = inner.exec(result)) {
    const [whole, name = '', operator, rest = ''] = found;
    // What is put in is not expanded again.
    const value = (variables[name] ?? '').replaceAll('$', '\0');
    if (value === '' && operator === ':?') throw new Error(`required variable ${name} ${rest}`);
    const instead = operator === ':-' ? value === '' : operator === '-' && variables[name] === undefined;
    result = result.replace(whole, () => (instead ? rest : value));
  }
  return result.replaceAll('\0', '$');
};

const expandAll = (value: unknown, variables: Readonly<Record<string, string>>): unknown => {
  if (typeof value === 'string') return expand(value, variables);
  if (Array.isArray(value)) return value.map((item: unknown) => expandAll(item, variables));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expandAll(item, variables)]));
};
