import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { userHeader } from './mix.mjs';

/** The core of the gateway, and the one of all other processes. */
export const [gatewayCore, otherCores] = ['0', '1'];

/** Starts a command on these cores. */
export const pinned = (cores, args, options) => spawn('taskset', ['-c', cores, ...args], options);

/** Ends the process with a sentence if wrk is not installed. */
export function requireWrk() {
  if (existsSync('/usr/bin/wrk')) return;
  process.stderr.write('This benchmark needs wrk: apt-get install wrk\n');
  process.exit(2);
}

/**
 * Sends the requests in turns over so many connections, and returns how many were answered, how many a
 * second, and the latencies. Rejects if one failed. The script for wrk is written into the folder.
 */
export async function load(folder, url, requests, connections, forSeconds) {
  const script = join(folder, 'request.lua');
  await writeFile(
    script,
    `local requests = {}\nlocal turn = 0\n` +
      `init = function()\n${requests.map(luaRequest).join('')}end\n` +
      `request = function() turn = turn % #requests + 1 return requests[turn] end\n` +
      `done = function(summary, latency) io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.timeout + summary.errors.read)) end\n`,
  );
  const options = `-t 1 --timeout 60s -c ${connections} -d ${forSeconds}s -s`.split(' ');
  const wrk = pinned(otherCores, ['wrk', ...options, script, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of wrk.stdout.setEncoding('utf8')) output += chunk;
  const [, answered, duration, p50, p99, failed] = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(output) ?? [];
  if (failed !== '0') throw new Error(`requests failed:\n${output}`);
  return {
    requests: Number(answered),
    perSecond: Number(answered) / (Number(duration) / 1e6),
    p50Ms: Number(p50) / 1_000,
    p99Ms: Number(p99) / 1_000,
  };
}

/** Returns the line of Lua that adds a request. */
function luaRequest({ body, user }) {
  const headers = `{["Content-Type"]="application/json"${user ? `,["${userHeader}"]="${user}"` : ''}}`;
  return `requests[#requests + 1] = wrk.format("POST", nil, ${headers}, ${JSON.stringify(body)})\n`;
}
