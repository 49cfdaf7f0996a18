import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';

/** Random secrets of one installation, each with a name. */
export interface Secrets {
  /**
   * Returns the secret of that name: 32 random bytes as 43 characters of base64url. Creates it at first use.
   */
  get(name: string): Promise<string>;
}

/**
 * Opens the secrets in a JSON file that only its owner may read (mode 0600). Each secret is on disk before it
 * is returned. The file is replaced as a whole, so that a killed process never leaves half of it. Only one
 * process at a time may write it.
 */
export const openSecrets = (path: string): Secrets => {
  let previous: Promise<unknown> = Promise.resolve();
  const get = async (name: string): Promise<string> => {
    const known = await readSecrets(path);
    const present = known[name];
    if (present !== undefined) return present;
    const created = randomBytes(32).toString('base64url');
    await mkdir(dirname(path), { recursive: true });
    const next = `${path}.${process.pid}`;
    await writeFile(next, `${JSON.stringify({ ...known, [name]: created }, null, 2)}\n`, {
      mode: 0o600,
      flush: true,
    });
    await chmod(next, 0o600);
    await rename(next, path);
    return created;
  };
  return {
    get: (name) => {
      const secret = previous.then(() => get(name));
      previous = secret.catch(() => undefined);
      return secret;
    },
  };
};

const readSecrets = async (path: string): Promise<Record<string, string>> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new StartError(`The file of secrets ${path} cannot be read.`, { cause: error });
  }
  const secrets = parse(text);
  if (secrets === undefined) {
    throw new StartError(
      `The file of secrets ${path} is damaged: it is not a JSON object whose values are strings. Restore a copy, or start again with --reset (the data is lost).`,
    );
  }
  return secrets;
};

const parse = (text: string): Record<string, string> | undefined => {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return Object.values(value).every((secret) => typeof secret === 'string' && secret !== '')
      ? (value as Record<string, string>)
      : undefined;
  } catch {
    return undefined;
  }
};
