import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BootstrapError, UsageError } from './run.mjs';

/**
 * Reads the options of `start`. Without --port, the gateway's port is that of the variable PORT, or 4000.
 * Throws a UsageError if an option is unknown or has a wrong value.
 * @param {readonly string[]} args
 * @param {string} root
 */
export const readStartOptions = (args, root) => {
  const { values } = parse(args);
  const written = values.port ?? (process.env.PORT || '4000');
  const port = Number(written);
  if (!/^\d+$/.test(written) || port > 65_535) {
    const what = values.port === undefined ? 'PORT' : '--port';
    throw new UsageError(`${what} must be a number from 0 to 65535, not "${written}".`);
  }
  return { port, data: dataFolder(values.data, root), reset: values.reset, watch: values.watch };
};

/**
 * Takes `--data <folder>` out of the arguments of a command, and returns the folder and the remaining
 * arguments.
 * @param {readonly string[]} args
 * @param {string} root
 */
export const takeDataOption = (args, root) => {
  const { value, rest } = takeOption(args, '--data', 'folder');
  return { data: dataFolder(value, root), rest };
};

/**
 * Takes `<option> <value>` or `<option>=<value>` out of the arguments. The value is undefined if the option
 * is missing; throws a UsageError if the option has no value. `what` names the value in that sentence.
 * @param {readonly string[]} args
 * @param {string} option
 * @param {string} what
 */
export const takeOption = (args, option, what) => {
  const rest = [...args];
  const at = rest.findIndex((arg) => arg === option || arg.startsWith(`${option}=`));
  if (at < 0) return { value: undefined, rest };
  const [found] = rest.splice(at, 1);
  const value = found === option ? rest.splice(at, 1)[0] : found.slice(option.length + 1);
  if (!value || value.startsWith('-')) throw new UsageError(`${option} needs a ${what}: ${option} <${what}>`);
  return { value, rest };
};

/** Resolves a folder against the folder in which the command was typed: npm itself changes to the root. */
const dataFolder = (folder, root) =>
  folder === undefined ? join(root, '.data') : resolve(process.env.INIT_CWD ?? process.cwd(), folder);

const parse = (args) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string' },
        data: { type: 'string' },
        reset: { type: 'boolean', default: false },
        watch: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(`${error.message.split('. ')[0]}. For the options, see: npm start -- --help`);
  }
};

/**
 * Throws a BootstrapError if nothing can listen on the port, e.g. because another program does.
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
