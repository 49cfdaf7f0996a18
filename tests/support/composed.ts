import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readComposeFile, type ComposeService } from './compose-file.js';
import { readImage, root } from './image.js';

/** The services of docker-compose.yml as plain processes of this clone instead of containers. */
export interface Composed {
  /**
   * Starts the services of the profiles in the order of their dependencies. Resolves when each is healthy, or
   * has completed.
   */
  up(...profiles: readonly string[]): Promise<void>;
  /** Returns the address of a service's declared port on this machine. */
  addressOf(service: string): string;
  /** Returns what a service has written so far to both streams. */
  outputOf(service: string): string;
  /** Sends each service its stop signal, dependents first. Returns the exit codes. */
  down(): Promise<Readonly<Record<string, number | null>>>;
}

interface Running {
  readonly child: ChildProcess;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ended: Promise<number | null>;
  output: string;
}

/**
 * Reads docker-compose.yml with `variables`. Each declared port is mapped to a free one, and so are the
 * addresses `//service:port` in the variables. `outside` has the addresses of services that are replaced.
 */
export const openComposed = async (options: {
  readonly variables: Readonly<Record<string, string>>;
  readonly outside: readonly string[];
}): Promise<Composed> => {
  const { variables, outside } = options;
  const image = readImage();
  const services = readComposeFile(variables);
  const running = new Map<string, Running>();
  const addresses = new Map<string, { declared: string; port: number }>();
  for (const [name, { environment = {} }] of Object.entries(services)) {
    if (environment['PORT'] === undefined) continue;
    addresses.set(name, { declared: `//${name}:${environment['PORT']}`, port: await freePort() });
  }

  const environmentOf = (name: string, { environment = {} }: ComposeService) =>
    Object.fromEntries(
      Object.entries(environment).map(([variable, value]) => {
        if (variable === 'PORT') return [variable, String(addresses.get(name)?.port)];
        let text = String(value);
        for (const { declared, port } of addresses.values()) {
          text = text.replace(`${declared}/`, `//127.0.0.1:${port}/`);
        }
        return [variable, text];
      }),
    );

  const start = (name: string, service: ComposeService): void => {
    const workdir = join(root, service.build?.args['SERVICE'] ?? '');
    const env = { ...image.env, ...environmentOf(name, service) };
    const child = runIn(workdir, service.command ?? image.command, env);
    const started: Running = { child, workdir, env, output: '', ended: endOf(child) };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (started.output += text));
    }
    running.set(name, started);
  };

  const becomesHealthy = async (name: string, one: Running) => {
    const { child, workdir, env } = one;
    while (child.exitCode === null && child.signalCode === null) {
      const check = runIn(workdir, image.healthcheck, env);
      if ((await endOf(check)) === 0) return;
      await delay(200);
    }
    throw new Error(`${name} ended before it was healthy: ${one.output}`);
  };

  const fulfils = async (name: string, condition: string) => {
    const one = running.get(name);
    if (!one) throw new Error(`${name} is needed, but not started`);
    if (condition === 'service_healthy') await becomesHealthy(name, one);
    if (condition !== 'service_completed_successfully') return;
    const code = await one.ended;
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${one.output}`);
  };

  return {
    addressOf: (name) => `http://127.0.0.1:${addresses.get(name)?.port}`,
    outputOf: (name) => running.get(name)?.output ?? '',
    up: async (...profiles) => {
      const requested = inOrder(
        Object.keys(services).filter((name) =>
          services[name]?.profiles.some((one) => profiles.includes(one)),
        ),
        services,
      ).filter((name) => !outside.includes(name));
      for (const name of requested) {
        const service = services[name];
        if (!service) continue;
        for (const [other, { condition, required = true }] of Object.entries(service.depends_on ?? {})) {
          if (outside.includes(other)) continue;
          if (required || requested.includes(other)) await fulfils(other, condition);
        }
        start(name, service);
      }
      // `up --wait` does the same, and `run` for services that complete.
      for (const name of requested) {
        const isOneShot = services[name]?.['restart'] === 'no';
        await fulfils(name, isOneShot ? 'service_completed_successfully' : 'service_healthy');
      }
    },
    down: async () => {
      const codes: Record<string, number | null> = {};
      for (const name of inOrder([...running.keys()], services).reverse()) {
        const one = running.get(name);
        if (!one) continue;
        one.child.kill(image.stopSignal);
        codes[name] = await one.ended;
      }
      running.clear();
      return codes;
    },
  };
};

/** Sorts names so that each comes after those it depends on. */
const inOrder = (names: readonly string[], services: Readonly<Record<string, ComposeService>>): string[] => {
  const ordered: string[] = [];
  const visit = (name: string) => {
    if (ordered.includes(name)) return;
    for (const other of Object.keys(services[name]?.depends_on ?? {})) visit(other);
    ordered.push(name);
  };
  names.forEach(visit);
  return ordered.filter((name) => names.includes(name));
};

/** Runs a command in a folder with `env` alone, besides the location of programs. */
const runIn = (workdir: string, command: readonly string[], env: Readonly<Record<string, string>>) => {
  const [program = '', ...args] = command;
  return spawn(program === 'node' ? process.execPath : program, args, {
    cwd: workdir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
};

const endOf = (child: ChildProcess) => once(child, 'close').then(([code]) => code as number | null);

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '0.0.0.0', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
