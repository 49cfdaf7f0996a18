/* What the benchmarks of the gateway start and send. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { userHeader } from './mix.mjs';
import { gatewayCore, otherCores, pinned } from './wrk.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));

const userFields = 'id username name';
const reviewFields = 'id body';
const productFields = 'inStock name price shippingEstimate upc weight';
const productReviews = `reviews { ${reviewFields} author { ${userFields} reviews { ${reviewFields} product { ${productFields} } } } }`;
export const queries = {
  narrow: '{ movies(first: 10) { id title rating { average count } } }',
  wide: `{ users { ${userFields} reviews { ${reviewFields} product { ${productFields} ${productReviews} } } } topProducts(first: 5) { ${productFields} ${productReviews} } }`,
};

export const ourScript = join(root, 'gateway/dist/main.js');

export const ourEnvironment = {
  PORT: '0',
  HOST: '127.0.0.1',
  LOG_LEVEL: 'info',
  SUBGRAPH_KEY: 'bench-'.repeat(8),
  // All load comes from one address. A budget is counted, but never empty.
  BUDGET_COST_PER_MINUTE: '1000000000',
  // Only the subgraph of the users has to know who asks, and for one field.
  FORWARD_HEADERS_ACCOUNTS: userHeader,
  CLIENT_FIELDS: 'Query.me',
};

/** The file of a supergraph, which `startSubgraphs` writes. */
export const supergraphFile = (folder, graph) => join(folder, `${graph}.graphql`);

/**
 * Starts the subgraphs of both graphs, and writes their supergraphs into the folder. Returns these as text,
 * and a function that returns how many fetches the subgraphs have received.
 */
export async function startSubgraphs(folder) {
  const child = pinned(otherCores, [process.execPath, join(import.meta.dirname, 'subgraphs.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const supergraphs = JSON.parse(await nextLine(child));
  for (const [graph, sdl] of Object.entries(supergraphs)) await writeFile(supergraphFile(folder, graph), sdl);
  const countFetches = async () => {
    const line = nextLine(child);
    process.kill(child.pid, 'SIGUSR2');
    return JSON.parse(await line).requests;
  };
  return { child, supergraphs, countFetches };
}

/** Starts a gateway on its core. Returns it with the URL that its log names. */
export async function startGateway(args, env) {
  const child = pinned(gatewayCore, [process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env },
  });
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    output += chunk;
    const found = /"url":"([^"]+)"/.exec(output)?.[1];
    if (!found) continue;
    child.stdout.resume();
    return { child, url: found.endsWith('/graphql') ? found : `${found.replace(/\/$/, '')}/graphql` };
  }
  throw new Error(`a gateway did not start: ${output}`);
}

async function nextLine(child) {
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    output += chunk;
    if (output.endsWith('\n')) return output;
  }
  throw new Error('a process of the benchmark ended');
}

/** Returns the CPU time of a process with all its threads, user and system, in milliseconds. */
export function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function memoryOf(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}
