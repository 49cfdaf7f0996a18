import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix, relative } from 'node:path';
import { promisify } from 'node:util';
import { root, type Dockerfile, type Instruction } from './dockerfile.js';

const execute = promisify(execFile);

/** What a Dockerfile's last stage says of the container, and the folder that stands for its file system. */
export interface Image {
  /** The folder of this machine behind a path of the image. */
  readonly locate: (path: string) => string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly user: string;
  readonly stopSignal: NodeJS.Signals;
}

/** Makes images of one Dockerfile by doing its steps as plain processes, in a temporary folder; no engine is needed. */
export interface ImageBuilder {
  /** The image for these build arguments; asked for again, the same one. */
  build(args: Readonly<Record<string, string>>): Promise<Image>;
  remove(): Promise<void>;
}

interface Built {
  readonly locate: (path: string) => string;
  workdir: string;
  env: Record<string, string>;
  args: Record<string, string>;
  last: Record<string, Instruction>;
}

/**
 * Opens a builder. `given` names stages that are not run, with the folder that stands for their /app: a clone that is
 * built already saves minutes. Of the commands' own world they get PATH, HOME and where npm gets its packages from.
 */
export const openImageBuilder = async (
  dockerfile: Dockerfile,
  given: Readonly<Record<string, string>> = {},
): Promise<ImageBuilder> => {
  const folder = await mkdtemp(join(tmpdir(), 'cinegraph-image-'));
  // The account of the service goes through it.
  await chmod(folder, 0o711);
  const done = new Map<string, Promise<Built>>();
  let places = 0;

  const stageOf = (name: string, args: Readonly<Record<string, string>>): Promise<Built> => {
    const stage = dockerfile.stages.find((one) => one.name === name);
    if (!stage) return Promise.resolve(newStage(join(folder, 'empty')));
    const own = given[name];
    if (own !== undefined) return Promise.resolve({ ...newStage(own), locate: within('/app', own) });
    const usesArgs = stage.instructions.some(({ keyword }) => keyword === 'ARG');
    const key = usesArgs ? `${name} ${JSON.stringify(args)}` : name;
    const known = done.get(key);
    if (known) return known;
    const run = runStage(join(folder, String((places += 1))), stage, args);
    done.set(key, run);
    return run;
  };

  const runStage = async (
    place: string,
    stage: Dockerfile['stages'][number],
    args: Readonly<Record<string, string>>,
  ): Promise<Built> => {
    const from = await stageOf(stage.from, args);
    const built = {
      ...newStage(place),
      workdir: from.workdir,
      env: { ...from.env },
      last: { ...from.last },
    };
    await mkdir(built.locate(built.workdir), { recursive: true });
    if (dockerfile.stages.some(({ name }) => name === stage.from)) {
      await copy(from.locate('/'), built.locate('/'));
    }
    for (const instruction of stage.instructions) await perform(built, instruction, args);
    return built;
  };

  const perform = async (
    built: Built,
    instruction: Instruction,
    args: Readonly<Record<string, string>>,
  ): Promise<void> => {
    const { keyword, flags, text } = instruction;
    const values = { ...built.args, ...built.env };
    const expanded = text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
    built.last[keyword] = instruction;
    if (keyword === 'ARG') built.args[text] = args[text] ?? '';
    if (keyword === 'ENV') {
      for (const pair of expanded.split(/\s+/)) {
        const at = pair.indexOf('=');
        built.env[pair.slice(0, at)] = pair.slice(at + 1);
      }
    }
    if (keyword === 'WORKDIR') {
      built.workdir = posix.resolve(built.workdir, expanded);
      await mkdir(built.locate(built.workdir), { recursive: true });
    }
    if (keyword === 'RUN') await runCommand(text, built.locate(built.workdir), values);
    if (keyword === 'COPY') {
      const words = expanded.split(/\s+/);
      const target = built.locate(posix.resolve(built.workdir, words.at(-1) ?? ''));
      const source = flags['from'];
      if (source === undefined) return copyContext(target);
      const other = await stageOf(source, args);
      for (const path of words.slice(0, -1)) {
        await copyInto(other.locate(path), words.at(-1)?.endsWith('/') === true, target);
      }
    }
  };

  return {
    build: async (args) => {
      const last = dockerfile.stages.at(-1)?.name ?? '';
      const { locate, workdir, env, last: said } = await stageOf(last, args);
      return {
        ...{ locate, workdir, env },
        command: said['CMD']?.words ?? [],
        healthcheck: said['HEALTHCHECK']?.words ?? [],
        user: said['USER']?.text ?? 'root',
        stopSignal: (said['STOPSIGNAL']?.text ?? 'SIGTERM') as NodeJS.Signals,
      };
    },
    remove: async () => {
      await Promise.allSettled(done.values());
      await execute('rm', ['-rf', folder]);
    },
  };
};

const newStage = (place: string): Built => ({
  locate: within('/', place),
  workdir: '/',
  env: {},
  args: {},
  last: {},
});

const within = (at: string, folder: string) => (path: string) => {
  const inside = posix.relative(at, posix.resolve('/', path));
  if (inside.startsWith('..')) throw new Error(`${path} is outside ${at}`);
  return join(folder, inside);
};

const inherited = ['PATH', 'HOME', 'npm_config_registry', 'npm_config_cache', 'NODE_EXTRA_CA_CERTS'];

const runCommand = async (command: string, cwd: string, values: Readonly<Record<string, string>>) => {
  const env = Object.fromEntries(inherited.map((name) => [name, process.env[name]]));
  const child = spawn('/bin/sh', ['-c', `umask 022; ${command}`], {
    cwd,
    // What the clone's own installation left in the cache is not fetched again.
    env: { ...env, npm_config_prefer_offline: 'true', npm_config_update_notifier: 'false', ...values },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`RUN ${command}\nended with ${code}:\n${said.slice(-4_000)}`);
};

/** By the system's own program: Node's `cp` takes ten times as long for the ten thousands of files of node_modules. */
const copy = async (from: string, to: string) => {
  const isFolder = (await stat(from)).isDirectory();
  await mkdir(isFolder ? to : dirname(to), { recursive: true });
  await execute('cp', ['-RP', isFolder ? `${from}/.` : from, to]);
};

/** As COPY does: the content of a folder, a file by its name; the last part of a path may hold stars. */
const copyInto = async (source: string, intoFolder: boolean, target: string) => {
  if (!basename(source).includes('*')) {
    const isFolder = (await stat(source)).isDirectory();
    return copy(source, isFolder || !intoFolder ? target : join(target, basename(source)));
  }
  const pattern = new RegExp(`^${basename(source).replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  const names = (await readdir(dirname(source))).filter((name) => pattern.test(name));
  if (names.length === 0) throw new Error(`COPY finds nothing at ${source}`);
  for (const name of names) await copy(join(dirname(source), name), join(target, name));
};

/** The clone as the builder gets it. */
const copyContext = async (target: string): Promise<void> => {
  const isIgnored = parseDockerignore(await readFile(`${root}.dockerignore`, 'utf8'));
  const filter = (path: string) => !isIgnored(relative(root, path));
  await cp(root, target, { recursive: true, verbatimSymlinks: true, filter });
};

/** Whether a path (relative, with slashes) is left out by these patterns; of the language, `*`, `**` and no exceptions. */
export const parseDockerignore = (text: string): ((path: string) => boolean) => {
  const patterns = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(
      (line) =>
        new RegExp(
          `^${line
            .replaceAll('.', '\\.')
            .replaceAll(/\*\*\/|\*/g, (stars) => (stars === '*' ? '[^/]*' : '(?:.*/)?'))}(?:/|$)`,
        ),
    );
  return (path) => patterns.some((pattern) => pattern.test(path));
};
