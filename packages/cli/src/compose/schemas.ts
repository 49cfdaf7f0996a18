import { composeServices } from '@apollo/composition';
import { markOneOfInputs } from '@cinegraph/service/one-of';
import { StartError } from '@cinegraph/service/start-error';
import { GraphQLError, Source, parse, type GraphQLSchema } from 'graphql';
import { createRequire } from 'node:module';
import { count } from './files.js';
import { withOneOf } from './one-of.js';
import { findingOfError, findingOfHint, printFinding, type Finding, type ParsedSubgraph } from './report.js';
import type { SupergraphYaml } from '../supergraph-yaml.js';

const require = createRequire(import.meta.url);
const { version: pinnedVersion } = require('@apollo/composition/package.json') as { version: string };

/** The result of composing a list of subgraphs. */
export interface Composed {
  readonly supergraph: string;
  /** Returns the schema that clients see, without what federation adds and what is @inaccessible. */
  readonly apiSchema: () => GraphQLSchema;
  readonly warnings: readonly Finding[];
}

/**
 * Composes a list of subgraphs; returns the supergraph and the warnings. Throws a StartError with every error
 * of the composition, each with its field, subgraph, location and correction. Throws one, too, if the list
 * requests another version than the installed one, because another version may compose another supergraph.
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
      const [location] = error.locations ?? [];
      errors.push({
        code: 'INVALID_GRAPHQL',
        element: undefined,
        subgraphs: [name],
        message: error.message,
        locations: [location ? `${file}:${location.line}:${location.column}` : file],
      });
    }
  }
  const definitions = parsed.map(({ name, url, file, document }) => {
    const typeDefs = withOneOf(document);
    if (typeof typeDefs !== 'string') return { name, url, typeDefs };
    errors.push({
      code: 'ONE_OF_NOT_COMPOSED',
      element: undefined,
      subgraphs: [name],
      message: typeDefs,
      locations: [file],
    });
    return { name, url, typeDefs: document };
  });
  if (errors.length > 0) throw failure(errors);

  const result = composeServices(definitions);
  if (result.errors) throw failure(result.errors.map((error) => findingOfError(error, parsed)));
  const { schema, supergraphSdl, hints } = result;
  return {
    supergraph: supergraphSdl.endsWith('\n') ? supergraphSdl : `${supergraphSdl}\n`,
    apiSchema: () => {
      const apiSchema = schema.toAPISchema().toGraphQLJSSchema();
      markOneOfInputs(apiSchema, parse(supergraphSdl));
      return apiSchema;
    },
    warnings: hints
      .filter(({ definition }) => definition.level.name === 'WARN')
      .map((hint) => findingOfHint(hint, parsed)),
  };
};

/** Returns the findings as text, with an empty line between two of them. */
export const printFindings = (findings: readonly Finding[]): string =>
  `${findings.map(printFinding).join('\n\n')}\n`;

const checkVersion = (written: string | undefined) => {
  const exact = /^[=v](\d+\.\d+\.\d+.*)$/.exec(written ?? '')?.[1];
  if (exact === pinnedVersion) return;
  const requested =
    written === undefined
      ? 'federation_version is missing'
      : ['0', '1', 'latest-0', 'latest-1'].includes(written) || exact?.startsWith('0.')
        ? `federation_version ${written} is Federation 1, which is not supported`
        : ['2', 'latest-2'].includes(written)
          ? `federation_version ${written} means the newest version`
          : `federation_version is ${written}`;
  throw new StartError(
    `${requested}, but the installed @apollo/composition is ${pinnedVersion}. Write "federation_version: =${pinnedVersion}", or install the version you want.`,
  );
};

const failure = (errors: readonly Finding[]) =>
  new StartError(`Composition failed with ${count(errors, 'error')}:\n\n${printFindings(errors)}`);
