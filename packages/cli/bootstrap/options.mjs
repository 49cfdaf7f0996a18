import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BootstrapError } from './run.mjs';

/** What `npm start -- --help` prints. */
export const startHelp = `Starts the whole graph: PostgreSQL, the subgraphs, the gateway.

  npm start                     everything on free ports, the gateway on 4000
  npm start -- --port <port>    the gateway on another port (0: any free one)
  npm start -- --data <folder>  keep data there instead of in .data
  npm start -- --reset          remove all data first
  npm start -- --help           this

It installs and builds what is missing, and fills empty databases with the default catalogue.
Ctrl-C ends all of it. DATABASE_URL_<NAME> puts a subgraph on a PostgreSQL of your own, DATABASE_URL_EVENTS
the log of events; KAFKA_BROKERS has Kafka in its place.
`;

/**
 * Reads the options of `start`; throws a sentence for one that there is not.
 * @param {readonly string[]} args
 * @param {string} root
 */
export const readStartOptions = (args, root) => {
  const { values } = parse(args);
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) {
    throw new BootstrapError(`--port must be a number from 0 to 65535, not "${values.port}".`);
  }
  return { port, data: dataFolder(values.data, root), reset: values.reset, help: values.help };
};

/**
 * Takes `--data <folder>` out of the arguments of a command that hands on the `rest`.
 * @param {readonly string[]} args
 * @param {string} root
 */
export const takeDataOption = (args, root) => {
  const rest = [...args];
  const at = rest.findIndex((arg) => arg === '--data' || arg.startsWith('--data='));
  if (at < 0) return { data: dataFolder(undefined, root), rest };
  const [option] = rest.splice(at, 1);
  const folder = option === '--data' ? rest.splice(at, 1)[0] : option.slice('--data='.length);
  if (!folder || folder.startsWith('-')) throw new BootstrapError('--data needs a folder: --data <folder>');
  return { data: dataFolder(folder, root), rest };
};

/** Relative to where the command was typed: npm itself goes to the root. */
const dataFolder = (given, root) =>
  given === undefined ? join(root, '.data') : resolve(process.env.INIT_CWD ?? process.cwd(), given);

const parse = (args) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string', default: '4000' },
        data: { type: 'string' },
        reset: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new BootstrapError(`${error.message.split('. ')[0]}. What there is: npm start -- --help`);
  }
};

/**
 * Throws a sentence when another program has the port.
 * @param {number} port
 * @param {string} host
 */
export const assertPortFree = (port, host) =>
  new Promise((done, reject) => {
    const probe = createServer();
    probe.once('error', (error) =>
      reject(
        new BootstrapError(
          error.code === 'EADDRINUSE'
            ? `Port ${port} is taken by another program. Choose another one: npm start -- --port ${port < 65_535 ? port + 1 : 0}`
            : error.code === 'EACCES'
              ? `Port ${port} may not be used by this account. Choose another one: npm start -- --port 4000`
              : `The gateway cannot listen on ${host}:${port}: ${error.message}`,
        ),
      ),
    );
    probe.listen(port, host, () => probe.close(() => done(undefined)));
  });
