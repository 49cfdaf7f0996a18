import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * The first thing that runs in a fresh clone: installs and builds what is missing, then hands over to the command.
 * Node's own modules only, since there may be nothing else yet.
 */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const help = `npm start                       the whole graph on this machine (npm start -- --help)
npm test                        all tests; test:unit and test:integration are parts of them
npm run import -- <source>      read an outside source into the databases
npm run ratings -- rebuild      recompute the aggregated ratings and report drift
npm run kafka                   a real Apache Kafka on this machine (npm run kafka -- --help)
npm run announce                tell the present state of all databases to topics that are younger
npm run compose                 supergraph.yaml -> gateway/supergraph.graphql
npm run build                   generate and build what is stale
npm run generate                only generate
npm run lint, npm run types     what is checked without running anything

start, import, ratings and announce keep the data in .data, or where --data <folder> says.
`;

const main = async () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`Node ${process.versions.node} is too old: 20.19 or later is needed.\n`);
    return 1;
  }
  const [command = 'help', ...args] = process.argv.slice(2);
  const stop = new AbortController();
  // npm hands each signal on a second time, and people press Ctrl-C twice: the second changes nothing.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop.abort(name));
  // The terminal, or the program that read our words, may be gone before we are.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  try {
    return await perform(command, args, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) {
      process.stdout.write('stopped\n');
      return command === 'start' ? 0 : 130;
    }
    process.stderr.write(`${explain(error)}\n`);
    return 1;
  }
};

/** One sentence for what a person can put right, and everything for what only we can. */
const explain = (error) => {
  if (['BootstrapError', 'StartError'].includes(error?.constructor?.name)) return error.message;
  const where = error?.path ? ` in ${error.path}` : '';
  if (error?.code === 'ENOSPC') return `There is no disk space left${where}. Free some and start again.`;
  if (error?.code === 'EACCES' || error?.code === 'EROFS') {
    return `This account may not write${where}. Make it writable, or keep the data elsewhere: --data <folder>`;
  }
  return error?.stack ?? String(error);
};

const say = (text) => process.stdout.write(`${text}\n`);

const perform = async (command, args, signal) => {
  const { ensureInstalled } = await import('./bootstrap/install.mjs');
  const { commandLine, ensureBuilt, everything, generate } = await import('./bootstrap/build.mjs');
  if (command === 'help' || command === '--help') {
    say(help);
    return 0;
  }
  if (
    ![
      'start',
      'test',
      'test:unit',
      'test:integration',
      'import',
      'ratings',
      'kafka',
      'announce',
      'compose',
      'build',
      'generate',
    ].includes(command)
  ) {
    process.stderr.write(`There is no command "${command}".\n\n${help}`);
    return 1;
  }
  if (command === 'start') {
    const { assertPortFree, readStartOptions, startHelp } = await import('./bootstrap/options.mjs');
    const options = readStartOptions(args, root);
    if (options.help) {
      say(startHelp);
      return 0;
    }
    await assertPortFree(options.port, process.env.HOST || '127.0.0.1');
  }
  await ensureInstalled(root, signal, say);
  if (command === 'generate') {
    await generate(root, signal, say);
    return 0;
  }
  await ensureBuilt(root, signal, say, ['compose', 'kafka'].includes(command) ? commandLine : everything);
  if (command === 'build') return 0;
  if (command.startsWith('test')) return test(command.split(':')[1], args, signal);
  const { perform: performCommand } = await import('./dist/main.js');
  return performCommand(command, args, signal);
};

/** Behind the person's own arguments, because jest takes all words that follow --selectProjects as projects. */
const test = async (project, args, signal) => {
  const { run } = await import('./bootstrap/run.mjs');
  return run(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
      ...args,
      ...(project ? ['--selectProjects', project] : []),
    ],
    { cwd: root, signal },
  );
};

process.exit(await main());
