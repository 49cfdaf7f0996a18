/*
 * Measures how known operations fare beside clients that send a new operation each time. The gateway has one
 * core, which the known operations alone keep busy.
 *
 * npm run bench -- planning [seconds per turn, by default 10]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ourEnvironment,
  ourScript,
  queries,
  startGateway,
  startSubgraphs,
  supergraphFile,
} from './gateway/setup.mjs';
import { load, requireWrk } from './gateway/wrk.mjs';
import { bar, cleaningUp, endChild, writeSection } from './report.mjs';

const [, , seconds = '10'] = process.argv;
const turnSeconds = Number(seconds);
const [major] = process.versions.node.split('.');
const connections = 8;
const known = [{ body: JSON.stringify({ query: queries.wide }) }];

requireWrk();
const folder = await mkdtemp(join(tmpdir(), 'bench-planning-'));
const children = [];
const cleanUp = cleaningUp(async () => {
  await Promise.all(children.map(endChild));
  await rm(folder, { recursive: true, force: true });
});
try {
  const subgraphs = await startSubgraphs(folder);
  children.push(subgraphs.child);
  const rows = [];
  for (const clients of [1, 8]) {
    const { child, url } = await startGateway([ourScript], {
      ...ourEnvironment,
      SUPERGRAPH_PATH: supergraphFile(folder, 'wide'),
      COALESCE: 'false',
    });
    children.push(child);
    const measure = async (what, sending) => {
      const before = sending?.sent() ?? 0;
      const { perSecond, p50Ms, p99Ms } = await load(folder, url, known, connections, turnSeconds);
      const planned = ((sending?.sent() ?? 0) - before) / turnSeconds;
      rows.push({ what, perSecond, p50Ms, p99Ms, planned });
      process.stdout.write(`${what}: p99 ${p99Ms.toFixed(1)} ms, ${planned.toFixed(1)} new operations/s\n`);
    };
    const who = clients === 1 ? 'one client' : `${clients} clients`;
    await load(folder, url, known, connections, turnSeconds);
    await measure(`alone, before ${who}`);
    const sending = sendNew(url, clients);
    await measure(`beside ${who}, at first`, sending);
    await load(folder, url, known, connections, turnSeconds);
    await measure(`beside ${who}, later`, sending);
    await measure(`beside ${who}, still later`, sending);
    await sending.stop();
    await endChild(child);
  }
  writeReport(rows);
} finally {
  await cleanUp();
}

/** Sends new operations, one after the other for each client, until `stop` is called. */
function sendNew(url, clients) {
  let number = 0;
  let sent = 0;
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: newOperation((number += 1)) }),
      });
      const { data, errors } = await response.json();
      if (errors || !data) throw new Error(`${response.status} ${JSON.stringify(errors)}`);
      sent += 1;
    }
  };
  const running = Promise.all(Array.from({ length: clients }, run));
  return {
    sent: () => sent,
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}

/** Returns an operation of 12 parts. Each selects other fields, so that no two operations share a plan. */
function newOperation(number) {
  let state = Math.imul(number, 2_654_435_761) >>> 0;
  const some = (...names) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const chosen = names.filter((_name, index) => (state >> (8 + index)) & 1);
    return (chosen.length > 0 ? chosen : names).join(' ');
  };
  const parts = Array.from(
    { length: 12 },
    (_part, index) =>
      `p${index}: topProducts(first: 1) { ${some('name', 'price', 'inStock', 'shippingEstimate', 'weight', 'upc')} reviews { ${some('id', 'body')} author { ${some('id', 'name', 'username')} } product { ${some('name', 'price', 'inStock', 'shippingEstimate', 'weight')} } } }`,
  );
  return `{ ${parts.join(' ')} }`;
}

function writeReport(rows) {
  const most = Math.max(...rows.map(({ p99Ms }) => p99Ms));
  writeSection(
    `Known operations beside new ones${major === '20' ? '' : `, on Node ${major}`}`,
    'npm run bench -- planning',
    `The wide query over ${connections} connections, which keep the gateway's one core busy, for ${turnSeconds} s each. The other clients send one operation after the other, and each needs a plan of its own. At first, planning has its usual priority; a planning thread that has used a second of processor time lets everything else go first ([decision 42](decisions/0042-make-plans-in-worker-threads-within-a-budget.md)).

| | requests/s | p50 ms | p99 ms | new operations/s |
|---|---:|---:|---:|---:|
${rows.map(({ what, perSecond, p50Ms, p99Ms, planned }) => `| ${what} | ${Math.round(perSecond)} | ${p50Ms.toFixed(1)} | ${p99Ms.toFixed(1)} | ${planned.toFixed(1)} |`).join('\n')}

\`\`\`
p99 in ms
${rows.map(({ what, p99Ms }) => bar(what, p99Ms, most)).join('\n')}
\`\`\``,
  );
}
