import { composeServices } from '@apollo/composition';
import { StartError } from '@cinegraph/service/start-error';
import { GraphQLError, Source, parse, type GraphQLSchema } from 'graphql';
import { createRequire } from 'node:module';
import { count } from './files.js';
import { findingOfError, findingOfHint, printFinding, type Finding, type ParsedSubgraph } from './report.js';
import type { SupergraphYaml } from '../supergraph-yaml.js';

const require = createRequire(import.meta.url);
const { version: pinnedVersion } = require('@apollo/composition/package.json') as { version: string };

/** What a list of subgraphs composes to. */
export interface Composed {
  readonly supergraph: string;
  /** The schema that clients see: without what federation adds and what is @inaccessible. */
  readonly apiSchema: () => GraphQLSchema;
  readonly warnings: readonly Finding[];
}

/**
 * The supergraph of a list of subgraphs and the warnings of its composition. Throws a StartError with every error, each
 * with its field, subgraph, place and what to do; also when the list asks for another version than the installed one,
 * since another version may compose another supergraph.
 */
export const composeSupergraph = (
  { federationVersion, subgraphs }: SupergraphYaml,
  nameOf: (path: string) => string,
): Composed => {
  checkVersion(federationVersion);
  const parsed: (ParsedSubgraph & { url: string })[] = [];
  const errors: Finding[] = [];
  for (const { name, routingUrl, sdl, schemaPath } of subgraphs) {
    const file = schemaPath === undefined ? `${name} (inline sdl)` : nameOf(schemaPath);
    try {
      parsed.push({ name, url: routingUrl, file, document: parse(new Source(sdl, file)) });
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      const [place] = error.locations ?? [];
      errors.push({
        code: 'INVALID_GRAPHQL',
        element: undefined,
        subgraphs: [name],
        message: error.message,
        places: [place ? `${file}:${place.line}:${place.column}` : file],
      });
    }
  }
  if (errors.length > 0) throw failure(errors);

  const result = composeServices(
    parsed.map(({ name, url, document }) => ({ name, url, typeDefs: document })),
  );
  if (result.errors) throw failure(result.errors.map((error) => findingOfError(error, parsed)));
  const { schema, supergraphSdl, hints } = result;
  return {
    supergraph: supergraphSdl.endsWith('\n') ? supergraphSdl : `${supergraphSdl}\n`,
    apiSchema: () => schema.toAPISchema().toGraphQLJSSchema(),
    warnings: hints
      .filter(({ definition }) => definition.level.name === 'WARN')
      .map((hint) => findingOfHint(hint, parsed)),
  };
};

/** Findings as text, a blank line between them. */
export const printFindings = (findings: readonly Finding[]): string =>
  `${findings.map(printFinding).join('\n\n')}\n`;

const checkVersion = (written: string | undefined) => {
  const exact = /^[=v](\d+\.\d+\.\d+.*)$/.exec(written ?? '')?.[1];
  if (exact === pinnedVersion) return;
  const asked =
    written === undefined
      ? 'federation_version is missing'
      : ['0', '1', 'latest-0', 'latest-1'].includes(written) || exact?.startsWith('0.')
        ? `federation_version ${written} is Federation 1, which is not composed here`
        : ['2', 'latest-2'].includes(written)
          ? `federation_version ${written} means whatever is newest`
          : `federation_version is ${written}`;
  throw new StartError(
    `${asked}, but the installed @apollo/composition is ${pinnedVersion}. Write "federation_version: =${pinnedVersion}", or install the version you want.`,
  );
};

const failure = (errors: readonly Finding[]) =>
  new StartError(`Composition failed with ${count(errors, 'error')}:\n\n${printFindings(errors)}`);
