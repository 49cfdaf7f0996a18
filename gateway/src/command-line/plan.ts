import { readFileSync } from 'node:fs';
import { serializeQueryPlan, type QueryPlan } from '@apollo/query-planner';
import { createLogger } from '@cinegraph/service/logger';
import { StartError, UsageError } from '@cinegraph/service/start-error';
import { endOnBrokenPipe, reasonOf, say } from '@cinegraph/service/terminal';
import { parse, print, separateOperations } from 'graphql';
import { createPlanner } from '../planning/planner.js';

/**
 * Prints the plan of each operation in a file, as the gateway would make it, and the number of its fetches.
 * The arguments are the paths of the supergraph and of the file.
 */
const main = async ([supergraph, operations]: readonly string[]): Promise<void> => {
  if (supergraph === undefined || operations === undefined) {
    throw new UsageError('The paths of a supergraph and of a file of operations are needed.');
  }
  const documents = separated(operations);
  const planner = await createPlanner({
    sdl: read(supergraph),
    logger: createLogger({ name: 'plan', level: 'silent' }),
  }).catch((error: unknown) => {
    throw new StartError(`${supergraph} is no supergraph that can be planned on: ${firstLine(error)}`);
  });
  try {
    for (const [name, text] of documents) {
      const shownName = name || 'the operation';
      const plan = await planner.plan(text).catch((error: unknown) => {
        throw new StartError(`${operations}: ${shownName} cannot be planned. ${firstLine(error)}`);
      });
      say(`${shownName}: ${countFetches(plan)}\n\n${serializeQueryPlan(plan)}\n`);
    }
  } finally {
    await planner.stop();
  }
};

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError(`${path} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
};

/** Returns the operations of a file by name, each with the fragments that it uses. */
const separated = (path: string): [name: string, text: string][] => {
  try {
    const found = Object.entries(separateOperations(parse(read(path), { noLocation: true })));
    if (found.length === 0) throw new Error('it defines none');
    return found.map(([name, document]) => [name, print(document)]);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${path} has no operation that can be planned: ${reasonOf(error)}`, {
      cause: error,
    });
  }
};

/** The message without the stack of the worker thread. */
const firstLine = (error: unknown): string => reasonOf(error).split('\n')[0] ?? '';

/** Returns e.g. "3 fetches (2 from products, 1 from reviews)". */
const countFetches = (plan: QueryPlan): string => {
  const bySubgraph = new Map<string, number>();
  let total = 0;
  JSON.stringify(plan, (_key, value: unknown) => {
    if (typeof value === 'object' && value !== null && 'serviceName' in value) {
      const name = String(value.serviceName);
      bySubgraph.set(name, (bySubgraph.get(name) ?? 0) + 1);
      total++;
    }
    return value;
  });
  const parts = [...bySubgraph].map(([name, count]) => `${count} from ${name}`);
  return `${total} ${total === 1 ? 'fetch' : 'fetches'}${total === 0 ? '' : ` (${parts.join(', ')})`}`;
};

endOnBrokenPipe();
try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
