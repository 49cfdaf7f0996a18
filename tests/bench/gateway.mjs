/*
 * Compares gateways by the CPU of their process for each request. The gateway has one core; the load (wrk)
 * and the subgraphs have the other. Contestants take turns in one run. Each is started for its turn.
 *
 * npm run bench -- gateway [seconds per turn, by default 5] [numbers of connections, by default 32,1,256]
 *   [rounds, by default 3] [part of the contestants' names: then nothing is written]
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mixedRequests } from './gateway/mix.mjs';
import {
  cpuOf,
  memoryOf,
  ourEnvironment,
  ourScript,
  queries,
  startGateway,
  startSubgraphs,
  supergraphFile,
} from './gateway/setup.mjs';
import { load, requireWrk } from './gateway/wrk.mjs';
import { bar, cleaningUp, endChild, writeSection } from './report.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [, , seconds = '5', connectionCounts = '32,1,256', roundCount = '3', only = ''] = process.argv;
const turnSeconds = Number(seconds);
const [major] = process.versions.node.split('.');
const rounds = Number(roundCount);
/** The connections at which all contestants take part, and the mix is sent. */
const usualConnections = 32;

/** The requests of each kind of turn; its supergraph is `wide` for the mix. */
const requestsOf = {
  narrow: [{ body: JSON.stringify({ query: queries.narrow }) }],
  wide: [{ body: JSON.stringify({ query: queries.wide }) }],
  mix: mixedRequests(),
};
const supergraphOf = (graph) => (graph === 'mix' ? 'wide' : graph);

const ours = { script: ourScript };
/** Gateways of others take part if `npm ci --ignore-scripts` was run in this folder. */
const rivals = join(root, 'tests/bench/gateway/rivals');
const bound = { script: join(root, 'tests/bench/gateway/bounds.mjs'), graphs: ['narrow'], isExtra: true };
const contestants = [
  { name: 'stock @apollo/gateway', script: join(root, 'tests/bench/gateway/stock.mjs') },
  {
    name: 'ours, stock executor',
    ...{ ...ours, isExtra: true },
    env: { ...ourEnvironment, EXECUTOR: 'stock', COALESCE: 'false' },
  },
  { name: 'ours, nothing shared', ...ours, env: { ...ourEnvironment, COALESCE: 'false' } },
  { name: 'ours, fetches shared', ...ours, env: { ...ourEnvironment, COALESCE: 'true' } },
  ...(existsSync(join(rivals, 'node_modules'))
    ? [
        {
          name: 'Hive Gateway, JavaScript planner',
          script: join(rivals, 'hive.mjs'),
          isRival: true,
          isExtra: true,
        },
      ]
    : []),
  { name: 'bound: written for this query', ...bound, args: ['handwritten'] },
  { name: 'bound: Apollo Server, constant', ...bound, args: ['apollo'] },
  { name: 'bound: Fastify, constant bytes', ...bound, args: ['fastify'] },
].filter(({ name }) => name.includes(only) || name.startsWith('stock'));
const turns = connectionCounts
  .split(',')
  .map(Number)
  .flatMap((connections) => ['narrow', 'wide', 'mix'].map((graph) => ({ graph, connections })))
  .filter(({ graph, connections }) => graph !== 'mix' || connections === usualConnections);

requireWrk();
const folder = await mkdtemp(join(tmpdir(), 'bench-gateway-'));
let subgraphs;
const cleanUp = cleaningUp(async () => {
  if (subgraphs) await endChild(subgraphs.child);
  await rm(folder, { recursive: true, force: true });
});
try {
  subgraphs = await startSubgraphs(folder);
  const results = new Map();
  const absent = new Set();
  for (let round = 1; round <= rounds; round += 1) {
    for (const turn of turns) {
      for (const contestant of contestants) {
        if (contestant.graphs && !contestant.graphs.includes(turn.graph)) continue;
        if (contestant.isExtra && turn.connections !== usualConnections) continue;
        if (absent.has(contestant)) continue;
        const result = await takeTurn(contestant, turn).catch((error) => {
          // A gateway of others may fail; ours and stock's figures stand without it.
          if (!contestant.isRival) throw error;
          process.stdout.write(`${contestant.name} no longer takes part: ${error.message}\n`);
          absent.add(contestant);
        });
        if (!result) continue;
        const key = JSON.stringify([turn.graph, turn.connections, contestant.name]);
        results.set(key, [...(results.get(key) ?? []), result]);
        process.stdout.write(
          `round ${round}  ${turn.graph} ${turn.connections}  ${contestant.name}: ${result.cpuMs.toFixed(3)} ms, ${Math.round(result.perSecond)}/s, ${result.fetches.toFixed(2)} fetches, ${Math.round(result.memoryMiB)} MiB\n`,
        );
      }
    }
  }
  if (only === '') writeReport(results);
} finally {
  await cleanUp();
}

async function takeTurn(contestant, { graph, connections }) {
  const { supergraphs, countFetches } = subgraphs;
  const { script, args = [], env = {} } = contestant;
  // Stock needs some seconds for one wide request of each of 256 clients.
  const forSeconds = connections > 100 ? 3 * turnSeconds : turnSeconds;
  const urls = [...supergraphs[supergraphOf(graph)].matchAll(/url: "(http[^"]+)"\)/g)].map(([, url]) => url);
  const { child: gateway, url } = await startGateway(
    [script, ...args, ...(args.length > 0 ? urls.filter((one) => one.endsWith('/graphql')) : [])],
    { SUPERGRAPH_PATH: supergraphFile(folder, supergraphOf(graph)), ...env },
  );
  try {
    const requests = requestsOf[graph];
    for (const { body } of requests) await check(url, body);
    // As long as the turn: JavaScript is compiled while it runs.
    await load(folder, url, requests, connections, forSeconds);
    const [cpu, fetches] = [cpuOf(gateway.pid), await countFetches()];
    const measured = await load(folder, url, requests, connections, forSeconds);
    const cpuMs = (cpuOf(gateway.pid) - cpu) / measured.requests;
    return {
      ...measured,
      cpuMs,
      fetches: ((await countFetches()) - fetches) / measured.requests,
      memoryMiB: memoryOf(gateway.pid),
    };
  } finally {
    await endChild(gateway);
  }
}

async function check(url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(30_000),
  });
  const { data, errors } = await response.json();
  if (errors || !data) throw new Error(`${url}: ${JSON.stringify(errors)}`);
}

function writeReport(results) {
  const median = (key, valueOf) => {
    const values = results
      .get(key)
      .map(valueOf)
      .sort((left, right) => left - right);
    return values[Math.floor(values.length / 2)];
  };
  const sections = turns.map(({ graph, connections }) => {
    const keyOf = (name) => JSON.stringify([graph, connections, name]);
    const present = contestants.filter(({ name }) => results.has(keyOf(name)));
    const stock = median(keyOf(contestants[0].name), ({ cpuMs }) => cpuMs);
    const rows = present.map(({ name }) => {
      const figure = (property) => median(keyOf(name), (result) => result[property]);
      return `| ${name} | ${figure('cpuMs').toFixed(3)} | ${(stock / figure('cpuMs')).toFixed(1)} | ${Math.round(figure('perSecond'))} | ${figure('p50Ms').toFixed(1)} | ${figure('p99Ms').toFixed(1)} | ${Math.round(figure('memoryMiB'))} | ${figure('fetches').toFixed(2)} |`;
    });
    const most = Math.max(...present.map(({ name }) => stock / median(keyOf(name), ({ cpuMs }) => cpuMs)));
    const bars = present.map(({ name }) =>
      bar(name, stock / median(keyOf(name), ({ cpuMs }) => cpuMs), most),
    );
    return `**${graph}, ${connections} connection${connections === 1 ? '' : 's'}**

| gateway | CPU ms | × stock | requests/s | p50 ms | p99 ms | MiB | fetches |
|---|---:|---:|---:|---:|---:|---:|---:|
${rows.join('\n')}

\`\`\`
stock's CPU per request over theirs
${bars.join('\n')}
\`\`\``;
  });
  writeSection(
    major === '20' ? 'CPU of the gateway for each request' : `The same on Node ${major}`,
    'npm run bench -- gateway',
    `Narrow: 10 movies and their ratings from 2 subgraphs. Wide: the store query of the public gateway benchmark, 4 subgraphs. Mix: 200 operations on that store with 5 sets of variables each, for 50 users. Only the field \`me\` depends on the user: our gateways forward the header \`x-user\` to accounts with the fetches that select it (\`FORWARD_HEADERS_ACCOUNTS\`, \`CLIENT_FIELDS\`), and share none of these between users. The stock gateway forwards no header. The gateway has one core; wrk and the subgraphs have the other. ${rounds} rounds of ${turnSeconds} s in turns (with 256 connections ${3 * turnSeconds} s), medians. CPU is user and system time of the gateway's process with all threads.

${sections.join('\n\n')}`,
  );
}
