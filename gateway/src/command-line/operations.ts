import { readFileSync } from 'node:fs';
import { Supergraph } from '@apollo/federation-internals';
import { withDefer } from '@cinegraph/service/defer';
import { markOneOfInputs } from '@cinegraph/service/one-of';
import { StartError, UsageError } from '@cinegraph/service/start-error';
import { endOnBrokenPipe, printable, reasonOf, say } from '@cinegraph/service/terminal';
import {
  assertValidSchema,
  buildASTSchema,
  getOperationAST,
  GraphQLError,
  parse,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import { readManifest, type ManifestOperation } from '../request/manifest.js';
import { costLimit, listLimit } from '../request/limits.js';
import { createCostMeter } from '../request/operation-cost.js';
import { checkSavedOperation, type OperationFault } from '../request/saved-operation.js';
import { readFieldRules, type CostOfField } from '../supergraph/field-rules.js';

/**
 * Checks the operations of a manifest against a supergraph, without a network. Prints each operation that it
 * would refuse, with the reasons, and each whose cost is another one than on the schema that is used
 * now. The arguments are the paths of the manifest, of the supergraph, and of the schema
 * that is used now: a supergraph or an API schema. The exit code is 1 if an operation is broken.
 */
const main = ([manifestPath, supergraphPath, usedPath]: readonly string[]): void => {
  if (manifestPath === undefined || supergraphPath === undefined || usedPath === undefined) {
    throw new UsageError(
      'The paths of a manifest, of a supergraph and of the schema that is used are needed.',
    );
  }
  const manifest = read(manifestPath);
  const operations = operationsIn(manifest, manifestPath);
  const next = graphIn(supergraphPath);
  const used = graphIn(usedPath);
  const broken: string[] = [];
  const changed: string[] = [];
  for (const operation of operations) {
    const title = `  ${printable(operation.name)}  ${manifestPath}${lineOf(operation, manifest)}`;
    const { faults, cost } = check(operation, next);
    if (faults.length > 0) {
      broken.push([title, ...faults.map(printFault)].join('\n'));
      continue;
    }
    const before = check(operation, used).cost;
    if (before !== undefined && cost !== before) changed.push(`${title}\n    cost ${before} → ${cost}`);
  }
  const count = `${operations.length} ${operations.length === 1 ? 'operation' : 'operations'}`;
  if (changed.length > 0) {
    say(`The cost of ${changed.length} of ${count} changes:\n\n${changed.join('\n')}\n`);
  }
  if (broken.length > 0) {
    say(`${broken.length} of ${count} would be refused:\n\n${broken.join('\n')}\n`);
    process.exitCode = 1;
    return;
  }
  say(`All ${count} of ${manifestPath} are valid.`);
};

/** A schema, with the rules by which its cost is counted. */
interface Graph {
  readonly schema: GraphQLSchema;
  readonly ofField: CostOfField;
}

const graphIn = (path: string): Graph => {
  const sdl = read(path);
  try {
    const document = parse(sdl, { noLocation: true });
    if (!isSupergraph(document)) {
      const schema = buildASTSchema(document);
      assertValidSchema(schema);
      return { schema: withDefer(schema), ofField: readFieldRules(document) };
    }
    const supergraph = Supergraph.build(sdl, { supportedFeatures: null, validateSupergraph: false });
    const schema = withDefer(supergraph.apiSchema().toGraphQLJSSchema());
    markOneOfInputs(schema, document);
    return { schema, ofField: readFieldRules(document) };
  } catch (error) {
    throw new StartError(`${path} is no schema of a graph: ${reasonOf(error)}`, { cause: error });
  }
};

const isSupergraph = ({ definitions }: DocumentNode): boolean =>
  definitions.some((definition) => 'name' in definition && definition.name.value === 'join__Graph');

/**
 * Returns why a graph refuses an operation, or its cost if each variable has its default.
 */
const check = (
  { body, name }: ManifestOperation,
  { schema, ofField }: Graph,
): { readonly faults: readonly OperationFault[]; readonly cost?: number } => {
  const { document, faults } = checkSavedOperation(body, schema);
  if (!document || faults.length > 0) return { faults };
  const operation = getOperationAST(document) ?? getOperationAST(document, name);
  if (!operation) return { faults: [{ message: `It has no operation with the name ${name}.` }] };
  try {
    const counted = { schema, document, operation, variables: {} };
    const { items, cost } = costOf(counted, ofField);
    const exceeded = [
      { limit: listLimit, value: items },
      { limit: costLimit, value: cost },
    ].filter(({ limit, value }) => value > limit.max);
    if (exceeded.length === 0) return { faults, cost };
    return {
      faults: exceeded.map(({ limit: { max, counted: what }, value }) => ({
        message: `There are ${value} ${what}, but at most ${max} are allowed.`,
      })),
    };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { faults: [{ message: error.message }] };
  }
};

const costOf = createCostMeter([]);

const printFault = ({ message, line, column }: OperationFault): string =>
  `    ${line === undefined ? '' : `${line}:${column}  `}${printable(message)}`;

/** Returns the line of an operation's id in the manifest, as `:12`; nothing if it is not found. */
const lineOf = ({ id }: ManifestOperation, manifest: string): string => {
  const written = JSON.stringify(id).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const at = manifest.search(new RegExp(String.raw`"id"\s*:\s*${written}`));
  return at === -1 ? '' : `:${manifest.slice(0, at).split('\n').length}`;
};

const operationsIn = (manifest: string, path: string): readonly ManifestOperation[] => {
  try {
    return readManifest(manifest);
  } catch (error) {
    throw new StartError(`${path} is no manifest of operations: ${reasonOf(error)}`, { cause: error });
  }
};

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError(`${path} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
};

endOnBrokenPipe();
try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
