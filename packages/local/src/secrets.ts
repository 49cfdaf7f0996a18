import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StartError } from '@cinegraph/service/start-error';

/** Random secrets of one installation, kept by name. */
export interface Secrets {
  /** The secret of that name, 43 characters of base64url (32 random bytes); made and kept at its first use. */
  get(name: string): Promise<string>;
}

/**
 * Secrets in a JSON file that only its owner may read (mode 0600). Each is written to disk before it is handed out,
 * by replacing the file as a whole, so that a killed process never leaves half of it. One process writes at a time.
 */
export const openSecrets = (path: string): Secrets => {
  let previous: Promise<unknown> = Promise.resolve();
  const get = async (name: string): Promise<string> => {
    const known = await readSecrets(path);
    const present = known[name];
    if (present !== undefined) return present;
    const made = randomBytes(32).toString('base64url');
    await mkdir(dirname(path), { recursive: true });
    const next = `${path}.${process.pid}`;
    await writeFile(next, `${JSON.stringify({ ...known, [name]: made }, null, 2)}\n`, {
      mode: 0o600,
      flush: true,
    });
    await chmod(next, 0o600);
    await rename(next, path);
    return made;
  };
  return {
    get: (name) => {
      const answer = previous.then(() => get(name));
      previous = answer.catch(() => undefined);
      return answer;
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
  const kept = parse(text);
  if (kept === undefined) {
    throw new StartError(
      `The file of secrets ${path} is damaged: it is no JSON object of texts. Put a copy back, or begin anew with --reset (the data is lost).`,
    );
  }
  return kept;
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
