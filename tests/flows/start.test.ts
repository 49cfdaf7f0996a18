import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { removeEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';
import { until } from '@cinegraph/testing/until';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';
import {
  ask,
  listProcesses,
  printedBy,
  runStart,
  stillAlive,
  type Process,
  type RunningStart,
} from './running-start.js';

jest.setTimeout(60_000);

const { subgraphs } = readSupergraphYaml(join(import.meta.dirname, '../../supergraph.yaml'), {});

/** A query for both subgraphs: the first movies of the catalogue with their aggregated ratings. */
const query = `{ movies(first: 3) { nodes { id title aggregatedRating { count average } } } }`;

describe('npm start', () => {
  let folder: string;
  let data: string;
  let runs: RunningStart[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'start-'));
    await chmod(folder, 0o711);
    data = join(folder, 'data');
  });
  afterEach(async () => {
    for (const run of runs) run.signal('SIGTERM');
    await Promise.all(runs.map(({ ended }) => ended));
    runs = [];
  });
  afterAll(async () => {
    await removeEmbeddedPostgres(data);
    await rm(folder, { recursive: true, force: true });
  });

  const start = (...args: string[]) => {
    const run = runStart('--data', data, ...args);
    runs.push(run);
    return run;
  };
  const named = (processes: readonly Process[], pattern: RegExp): Process => {
    const found = processes.find(({ command }) => pattern.test(command));
    if (!found) throw new Error(`no process like ${String(pattern)} in ${JSON.stringify(processes)}`);
    return found;
  };

  it('npm start ends cleanly on a signal while it is still starting', async () => {
    const run = start('--port', '0');
    await run.prints(/starting PostgreSQL/);
    const processes = await run.processes();
    run.signal('SIGTERM');
    expect(await run.ended).toBe(0);
    expect(await stillAlive(processes)).toEqual([]);
    expect(run.output()).toMatch(/stopped\n$/);
  });

  it('npm start fills an empty database, serves all subgraphs, and leaves no process running', async () => {
    const run = start('--port', '0');
    const gateway = await run.ready();
    const { status, body } = await ask(gateway, query);
    expect({ status, errors: body.errors }).toEqual({ status: 200, errors: undefined });
    expect(JSON.stringify(body.data)).toMatch(/"title":"[^"]+","aggregatedRating":\{"count":\d+/);
    await run.prints(/login demo, password \S+/);
    const [, password = ''] = /login demo, password (\S+)/.exec(run.output()) ?? [];
    const login = await ask(
      gateway,
      `mutation { login(login: "demo", password: "${password}") { me { login roles } tokens { accessToken } } }`,
    );
    expect(login.body).toMatchObject({ data: { login: { me: { login: 'demo', roles: ['USER'] } } } });
    const secrets = join(data, 'secrets.json');
    expect((await stat(secrets)).mode & 0o777).toBe(0o600);
    expect(await readFile(secrets, 'utf8')).toContain(password);
    const processes = await run.processes();
    // PostgreSQL, the gateway and the subgraphs.
    expect(processes).toHaveLength(2 + subgraphs.length);
    const lag = await printedBy('events', 'lag', '--data', data);
    expect(lag).toMatch(/^metadata .*\nrating /m);
    run.signal('SIGTERM');
    expect(await run.ended).toBe(0);
    expect(await stillAlive(processes)).toEqual([]);
  });

  it('npm start restarts a service and PostgreSQL by itself when they are killed', async () => {
    const run = start('--port', '0');
    const gateway = await run.ready();
    const before = await ask(gateway, query);
    const processes = await run.processes();

    process.kill(named(processes, /subgraphs.rating/).pid, 'SIGKILL');
    await run.prints(/rating died \(ended by SIGKILL\); starting it again in 0\.\d\d s/);
    await run.prints(/rating is back/);
    expect(await ask(gateway, query)).toEqual(before);

    process.kill(named(processes, /postgres.* -D /).pid, 'SIGKILL');
    await run.prints(/PostgreSQL is back/);
    await until(async () => (await ask(gateway, query)).body.errors === undefined);
    expect(await ask(gateway, query)).toEqual(before);

    const now = await run.processes();
    run.signal('SIGINT');
    run.signal('SIGINT');
    expect(await run.ended).toBe(0);
    expect(await stillAlive(now)).toEqual([]);
    // The password of the demo user is shown by the first start only.
    expect(run.output()).not.toContain('password');
  });

  it('npm start recovers after it was killed, and no other process may use its data meanwhile', async () => {
    const killed = start('--port', '0');
    const before = await ask(await killed.ready(), query);

    const second = start('--port', '0');
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`${data} is in use: process ${killed.pid} runs "start" on it.`);
    const reset = start('--port', '0', '--reset');
    expect(await reset.ended).toBe(1);

    const services = (await killed.processes()).filter(({ command }) => !command.includes('postgres'));
    killed.signal('SIGKILL');
    await until(async () => (await stillAlive(services)).length === 0);

    const again = start('--port', '0');
    expect(await ask(await again.ready(), query)).toEqual(before);
    again.signal('SIGTERM');
    expect(await again.ended).toBe(0);
    expect(await serversOn(data)).toEqual([]);
  });

  it('npm start says in one sentence that its port is taken, before it starts anything', async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port));
    });
    try {
      const run = start('--port', String(port));
      expect(await run.ended).toBe(1);
      expect(run.output()).toBe(
        `Port ${port} is taken by another program. Choose another one: npm start -- --port ${port + 1}\n`,
      );
    } finally {
      other.close();
    }
  });

  it('npm start says in one sentence that its data is damaged, and starts with empty data after --reset', async () => {
    await writeFile(await findFile(data, 'pg_control'), Buffer.alloc(8192, 7));
    const run = start('--port', '0');
    expect(await run.ended).toBe(1);
    expect(run.output()).toMatch(/^The data folder .* is damaged or cannot be used: .* --reset .*$/m);
    expect(run.output()).not.toMatch(/ at .*:\d+:\d+/);
    const afterReset = start('--port', '0', '--reset');
    await afterReset.prints(/creating a database/);
    afterReset.signal('SIGTERM');
    expect(await afterReset.ended).toBe(0);
    expect(await serversOn(data)).toEqual([]);
  });
});

/** Returns the servers that use data below the folder. */
const serversOn = async (folder: string) =>
  (await listProcesses()).filter(({ command }) => command.includes('postgres') && command.includes(folder));

const findFile = async (folder: string, name: string): Promise<string> => {
  const found = (await readdir(folder, { recursive: true })).find((path) => path.endsWith(`/${name}`));
  if (found === undefined) throw new Error(`no ${name} in ${folder}`);
  return join(folder, found);
};
