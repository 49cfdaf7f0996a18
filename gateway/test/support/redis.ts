import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A real Redis of this machine, in a process and a folder of its own. */
export interface RedisServer {
  readonly url: string;
  /** Stops it for good, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with no data. */
  restart(): Promise<void>;
  /** Lets it receive everything and respond to nothing, until it is thawed. */
  freeze(): void;
  thaw(): void;
  /** Runs a command of redis-cli and returns its output. */
  command(...args: readonly string[]): string;
  stop(): Promise<void>;
}

/** Says how Redis is installed, or undefined if it is. */
export const missingRedis: string | undefined =
  spawnSync('redis-server', ['--version']).status === 0
    ? undefined
    : 'There is no redis-server on this machine. Install it with: apt-get install redis-server';

/** Starts a Redis on a free port. */
export const startRedis = async (): Promise<RedisServer> => {
  if (missingRedis !== undefined) throw new Error(missingRedis);
  const folder = await mkdtemp(path.join(tmpdir(), 'redis-'));
  const port = await freePort();
  const start = async () => {
    const child = spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
      output += String(chunk);
      if (output.includes('Ready to accept connections')) {
        child.stdout.resume();
        return child;
      }
    }
    throw new Error(`Redis did not start: ${output}`);
  };
  let server = await start();
  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    restart: async () => {
      server = await start();
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    command: (...args) =>
      spawnSync('redis-cli', ['-p', String(port), ...args], { encoding: 'utf8', timeout: 5_000 }).stdout,
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};
