/*
 * Measures queries and votes through the gateway, as `npm start` runs it, on data of its own. Contestants
 * take turns in one run, so that a slow phase of the machine affects all of them. Figures are medians over
 * the rounds; CPU is that of the three services' processes.
 *
 * npm run bench [-- graph [seconds per turn, by default 3]]
 */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { bearerOf, testIssuer } from '@cinegraph/testing/tokens';
import { bar, cleaningUp, endChild, writeSection } from './report.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const turnMs = Number(process.argv[2] ?? 3) * 1_000;
const rounds = 3;

const page = (first) => ({
  query: `{ movies(first: ${first}) { nodes { id title aggregatedRating { average count } } } }`,
});
let voter = 0;
const vote = (movie) => ({
  query: 'mutation($m:ID!,$s:Score!){submitRating(movieId:$m,score:$s){rating{score}}}',
  variables: { m: movie(), s: 1 + (voter % 10) },
  viewer: String((voter += 1)),
});
const hot = () => 'vega:1';
const spread = () => `vega:${1 + (voter % 1_000)}`;

const contestants = [
  {
    name: 'the gateway alone: { __typename }',
    connections: 32,
    request: () => ({ query: '{ __typename }' }),
  },
  { name: '10 movies with aggregated ratings', connections: 32, request: () => page(10) },
  { name: '100 movies with aggregated ratings', connections: 32, request: () => page(100) },
  ...[1, 32, 256].flatMap((connections) => [
    { name: `votes on one movie, ${connections} connections`, connections, request: () => vote(hot) },
    { name: `votes over 1,000 movies, ${connections} connections`, connections, request: () => vote(spread) },
  ]),
];

/** The issuer of the votes, beside those of the graph. */
const issuers = JSON.stringify(JSON.parse(testIssuer).map((one) => ({ ...one, viewerPrefix: 'bench:' })));

const folder = await mkdtemp(join(tmpdir(), 'bench-graph-'));
const graph = spawn(
  process.execPath,
  [join(root, 'packages/cli/start.mjs'), 'start', '--port', '0', '--data', folder],
  { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, JWT_ISSUERS: issuers } },
);
const cleanUp = cleaningUp(async () => {
  await endChild(graph);
  await removeEmbeddedPostgres(folder);
  await rm(folder, { recursive: true, force: true });
});
try {
  const url = await readyUrl(graph);
  const services = readServices(graph.pid);
  const results = contestants.map(() => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, contestant] of contestants.entries()) {
      const result = await takeTurn(url, services, contestant, round === 0 ? turnMs / 3 : turnMs);
      // The first round only warms up.
      if (round > 0) results[index].push(result);
      process.stdout.write(
        `${round === 0 ? 'warm-up' : `round ${round}`}  ${contestant.name}: ${Math.round(result.perSecond)}/s\n`,
      );
    }
  }
  writeReport(contestants.map(({ name }, index) => ({ name, ...medianOf(results[index]) })));
} finally {
  await cleanUp();
}

async function readyUrl(child) {
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    output += chunk;
    if (output.includes('Ctrl-C ends')) break;
  }
  child.stdout.resume();
  const match = /GraphQL +(\S+)/.exec(output);
  if (!match) throw new Error(`the graph did not start:\n${output}`);
  return match[1];
}

/** Returns the processes of the services by name. */
function readServices(parent) {
  const lines = execFileSync('ps', ['-eww', '-o', 'pid=,ppid=,command=']).toString().split('\n');
  return lines.flatMap((line) => {
    const [, pid, ppid, name] = /^ *(\d+) +(\d+) .*?(\w+)\/dist\/main\.js/.exec(line) ?? [];
    return Number(ppid) === parent ? [{ name, pid }] : [];
  });
}

/** Returns the CPU time of a process, user and system, in milliseconds with a resolution of 10 ms. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function takeTurn(url, services, { connections, request }, forMs) {
  const latencies = [];
  const before = services.map(({ pid }) => cpuOf(pid));
  const began = performance.now();
  const endsAt = began + forMs;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < endsAt) {
        const { viewer, ...body } = request();
        const sentAt = performance.now();
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...(viewer && bearerOf(viewer)) },
          body: JSON.stringify(body),
        });
        const { errors } = await response.json();
        if (errors) throw new Error(JSON.stringify(errors));
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  latencies.sort((left, right) => left - right);
  return {
    perSecond: latencies.length / seconds,
    p50: latencies[Math.floor(latencies.length * 0.5)],
    p99: latencies[Math.floor(latencies.length * 0.99)],
    cpu: Object.fromEntries(
      services.map(({ name, pid }, index) => [name, (cpuOf(pid) - before[index]) / latencies.length]),
    ),
  };
}

function medianOf(results) {
  const median = (valueOf) =>
    results.map(valueOf).sort((left, right) => left - right)[Math.floor(results.length / 2)];
  return {
    perSecond: median(({ perSecond }) => perSecond),
    p50: median(({ p50 }) => p50),
    p99: median(({ p99 }) => p99),
    cpu: Object.fromEntries(
      Object.keys(results[0].cpu).map((name) => [name, median(({ cpu }) => cpu[name])]),
    ),
  };
}

function writeReport(results) {
  const [baseline] = results;
  const services = Object.keys(baseline.cpu);
  const most = Math.max(...results.map(({ perSecond }) => perSecond));
  const rows = results.map(({ name, perSecond, p50, p99, cpu }) => {
    const figures = [
      Math.round(perSecond),
      (perSecond / baseline.perSecond).toFixed(2),
      p50.toFixed(1),
      p99.toFixed(1),
      ...services.map((service) => cpu[service].toFixed(2)),
    ];
    return `| ${name} | ${figures.join(' | ')} |`;
  });
  const bars = results.map(({ name, perSecond }) => bar(name, perSecond, most));
  const heads = [
    'requests/s',
    'ratio to the first',
    'p50 ms',
    'p99 ms',
    ...services.map((service) => `${service} CPU ms`),
  ];
  writeSection(
    'Queries and votes through the whole graph',
    'npm run bench',
    `Client, services and PostgreSQL on the same machine. Contestants take turns in one run (${rounds} rounds of ${turnMs / 1_000} s, medians).

| what | ${heads.join(' | ')} |
|---|${heads.map(() => '---:').join('|')}|
${rows.join('\n')}

\`\`\`
requests/s
${bars.join('\n')}
\`\`\``,
  );
}
