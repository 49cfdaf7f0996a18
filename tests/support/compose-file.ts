import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { root } from './image.js';

/** A service of docker-compose.yml, with the keys that ours use. */
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

/** Returns the text of docker-compose.yml. */
export const composeText = readFileSync(`${root}docker-compose.yml`, 'utf8');

/** Returns its services by name, with anchors and merges resolved and `${…}` expanded with `variables`. */
export const readComposeFile = (
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, ComposeService>> => {
  const document: unknown = parse(composeText, { merge: true });
  return (expandAll(document, variables) as { services: Record<string, ComposeService> }).services;
};

/** A subgraph as docker-compose.yml needs it. */
export interface ComposedSubgraph {
  readonly name: string;
  /** The port of its routing_url. */
  readonly port: string;
  /** The folder of its workspace, relative to the root. */
  readonly folder: string;
  /** Whether it has an importer of the catalogue. */
  readonly imports: boolean;
}

/**
 * Returns the parts that docker-compose.yml lacks to run a subgraph of supergraph.yaml. Each begins with a
 * comment that says where it belongs.
 */
export const missingOf = (
  { name, port, folder, imports }: ComposedSubgraph,
  all: readonly string[],
  version: string,
): readonly string[] => {
  const upper = name.toUpperCase();
  const url = `\${DATABASE_URL_${upper}:-postgresql://${name}:\${POSTGRES_PASSWORD}@postgres:5432/${name}}`;
  const parts: Readonly<Record<string, string>> = {
    'at the top': `
x-${name}-image: &${name}-image
  image: cinegraph/${name}:${version}
  build:
    context: .
    args:
      SERVICE: ${folder}`,
    'in x-databases': `
  ${name}: &${name}-database
    DATABASE_URL_${upper}: ${url}`,
    'in services': `
  ${name}:
    <<: [*${name}-image, *confined]
    profiles: [apps]
    restart: unless-stopped
    stop_grace_period: 15s
    depends_on: *after-postgres
    environment:
      <<: [*${name}-database, *broker, *telemetry]
      PORT: ${port}
      SUBGRAPH_KEY: *subgraph-key
      LOG_LEVEL: *log-level`,
    'in depends_on of the gateway': `
      ${name}:
        condition: service_started`,
    'in the environment of the gateway': `
      SUBGRAPH_URL_${upper}: http://${name}:${port}/graphql`,
    ...(imports && {
      'in services, for its importer': `
  import-${name}:
    <<: [*${name}-image, *confined]
    profiles: [import]
    restart: 'no'
    depends_on: *after-postgres
    command: ['node', 'dist/import/catalogue.js']
    environment:
      <<: [*${name}-database, *broker]`,
    }),
    'in configs, as the list of databases': `
      for name in ${all.join(' ')} events; do`,
  };
  const present = new Set(composeText.split('\n'));
  const isMissing = (line: string) =>
    [name, upper, port].some((text) => line.includes(text)) && !present.has(line);
  return Object.entries(parts)
    .filter(([, lines]) => lines.split('\n').some(isMissing))
    .map(([where, lines]) => `# ${where}${lines}`);
};

/**
 * Expands `${NAME}`, `${NAME:-default}`, `${NAME-default}` (only if it is not set at all) and
 * `${NAME:?message}` as Compose does, also nested ones; `$$` is a dollar sign. Throws the message if a
 * required variable is not set.
 */
export const expand = (text: string, variables: Readonly<Record<string, string>>): string => {
  let result = text.replaceAll('$$', '\0');
  const inner = /\$\{(\w+)(?:(:-|:\?|-)([^{}]*))?\}/;
  for (let found = inner.exec(result); found; found = inner.exec(result)) {
    const [whole, name = '', operator, rest = ''] = found;
    // The inserted value is not expanded again.
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
