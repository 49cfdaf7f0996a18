import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * The entry of all npm scripts. It works in a fresh clone: it installs and builds what is missing, then runs
 * the command. Therefore it imports only modules of Node, and nothing that has to be installed or built
 * first.
 */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const main = async () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`Node ${process.versions.node} is too old: 20.19 or later is needed.\n`);
    return 1;
  }
  const [command = 'help', ...args] = process.argv.slice(2);
  const stop = new AbortController();
  // npm forwards each signal once more, and people press Ctrl-C twice: the second signal must not end us
  // earlier.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop.abort(name));
  // The program that reads our output, e.g. head, may end before us. Node ignores SIGPIPE, so we stop here.
  // The terminal may close, too, which sends SIGHUP. What we cannot say on standard error does not stop us.
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') stop.abort('SIGPIPE');
  });
  process.stderr.on('error', () => undefined);
  try {
    const code = await perform(command, args, stop.signal);
    // Node reports that the last write failed only after this turn of its loop.
    await new Promise((resolve) => setImmediate(resolve));
    return stop.signal.reason === 'SIGPIPE' ? brokenPipeCode : code;
  } catch (error) {
    if (stop.signal.reason === 'SIGPIPE') return brokenPipeCode;
    if (stop.signal.aborted) {
      process.stdout.write('stopped\n');
      return command === 'start' ? 0 : 130;
    }
    process.stderr.write(`${explain(error)}\n`);
    return error?.exitCode ?? 1;
  }
};

/** The exit code that a shell shows for a process that SIGPIPE ended: 128 + 13. */
const brokenPipeCode = 141;

/** Returns one sentence for a failure that a person can repair, and the stack trace for any other. */
const explain = (error) => {
  // A BootstrapError or a StartError.
  if (error?.exitCode !== undefined) return error.message;
  const where = error?.path ? ` in ${error.path}` : '';
  if (error?.code === 'ENOSPC') return `There is no disk space left${where}. Free some and start again.`;
  if (error?.code === 'EACCES' || error?.code === 'EROFS') {
    return `This account may not write${where}. Make it writable, or keep the data elsewhere: --data <folder>`;
  }
  return error?.stack ?? String(error);
};

const say = (text) => process.stdout.write(`${text}\n`);

/** Runs a command and returns its exit code. A command's help needs nothing installed, built or started. */
const perform = async (command, args, signal) => {
  const { helpOf, overview } = await import('./bootstrap/help.mjs');
  if (command === 'help' || command === '--help' || command === '-h') {
    say(overview);
    return 0;
  }
  if (!Object.hasOwn(helpOf, command)) {
    process.stderr.write(`There is no command "${command}".\n\n${overview}`);
    return 2;
  }
  if (args.some((arg) => arg === '--help' || arg === '-h')) {
    say(helpOf[command]);
    return 0;
  }
  const { ensureInstalled } = await import('./bootstrap/install.mjs');
  const { commandLine, ensureBuilt, everything, generate, workspaces } =
    await import('./bootstrap/build.mjs');
  if (command === 'start') {
    const { assertPortFree, readStartOptions } = await import('./bootstrap/options.mjs');
    await assertPortFree(readStartOptions(args, root).port, process.env.HOST || '127.0.0.1');
  }
  await ensureInstalled(root, signal, say);
  if (command === 'generate') {
    await generate(root, signal, say);
    return 0;
  }
  await ensureBuilt(root, signal, say, ['compose', 'kafka'].includes(command) ? commandLine : everything);
  switch (command) {
    case 'build':
      // The other commands run what was built without this check, which takes longer than the build.
      return runNode(
        [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b', ...workspaces(root)],
        signal,
      );
    case 'test':
      return test(args, signal);
    case 'test:unit':
    case 'test:integration':
      // Last, because Jest takes all words that follow --selectProjects as names of projects.
      return test([...args, '--selectProjects', command.slice('test:'.length)], signal);
    case 'test:faults':
      return runNode([join(root, 'tests', 'faults', 'run.mjs'), ...args], signal);
    case 'bench':
      return runNode([join(root, 'tests', 'bench', 'run.mjs'), ...args], signal);
    default: {
      const { perform: performCommand } = await import('./dist/main.js');
      return performCommand(command, args, signal);
    }
  }
};

const test = (args, signal) =>
  runNode(
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
      ...args,
    ],
    signal,
  );

const runNode = async (args, signal) => {
  const { run } = await import('./bootstrap/run.mjs');
  return run(process.execPath, args, { cwd: root, signal });
};

process.exit(await main());
