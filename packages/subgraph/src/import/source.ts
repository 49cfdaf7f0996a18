import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { StartError } from '@cinegraph/service/start-error';

/** A file or standard input that is read once, from its beginning to its end. */
export interface Source {
  /** Its name for people. */
  readonly name: string;
  /**
   * Its content, inflated if it is gzip. Throws a StartError if it is damaged or inflates beyond the limits.
   */
  readonly chunks: AsyncIterable<Buffer>;
  /** Its size in bytes before it is inflated; undefined for standard input. */
  readonly size: number | undefined;
  /** Returns how many bytes of `size` are read. */
  readonly position: () => number;
  /** Equal for the same path, size and modification time; undefined for standard input. */
  readonly fingerprint: string | undefined;
}

/**
 * The limits of an archive: real text inflates 3 to 20 times, and the largest source that we know to 10 GB.
 */
const inflation = { maxBytes: 64 * 2 ** 30, freeBytes: 64 * 2 ** 20, maxRatio: 200 } as const;

/**
 * Opens a file, or standard input if the path is `-`. Rejects with a StartError if the file is missing,
 * empty, a folder, or not readable for this account. Its first bytes show whether it is gzip.
 */
export const openSource = async (
  path: string,
  limits: { maxBytes: number; freeBytes: number; maxRatio: number } = inflation,
): Promise<Source> => {
  const file = path === '-' ? undefined : await inspect(path);
  const name = file ? basename(path) : 'standard input';
  let position = 0;
  const read = async function* (input: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      position += chunk.length;
      yield chunk;
    }
  };
  return {
    name,
    chunks: contentOf(name, read(file ? createReadStream(path) : process.stdin), () => position, limits),
    size: file?.size,
    position: () => position,
    fingerprint: file && `${path}:${file.size}:${file.mtimeMs}`,
  };
};

const inspect = async (path: string) => {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new StartError(`${path} is a folder. Name the file in it.`);
    if (!found.isFile())
      throw new StartError(`${path} is not a regular file. Name a file, or "-" for standard input.`);
    await (await open(path)).close();
    if (found.size === 0) throw new StartError(`${path} is empty.`);
    return found;
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${path} cannot be read: ${reasonOf(error)}.`, { cause: error });
  }
};

const reasonOf = (error: unknown): string => {
  const code = (error as { code?: unknown }).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'this account may not read it';
  return typeof code === 'string' ? code : 'it cannot be opened';
};

const contentOf = async function* (
  name: string,
  input: AsyncGenerator<Buffer>,
  position: () => number,
  limits: { maxBytes: number; freeBytes: number; maxRatio: number },
): AsyncGenerator<Buffer> {
  let bytes = 0;
  const first = await nextOf(name, input);
  if (first === undefined) throw new StartError(`${name} is empty.`);
  const all = prepend(first, input);
  if (first[0] !== 0x1f || first[1] !== 0x8b) {
    for (;;) {
      const chunk = await nextOf(name, all);
      if (chunk === undefined) return;
      yield chunk;
    }
  }
  const gunzip = createGunzip();
  // `pipeline` would destroy the standard input of the process. A loop also keeps failures of the two ends
  // apart.
  const pump = (async () => {
    for await (const chunk of all) {
      if (gunzip.destroyed) return;
      if (!gunzip.write(chunk))
        await new Promise((resolve) => gunzip.once('drain', resolve).once('close', resolve));
    }
    gunzip.end();
  })().catch((error: unknown) => gunzip.destroy(error as Error));
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.maxBytes || (bytes > limits.freeBytes && bytes > limits.maxRatio * position())) {
        throw new StartError(
          `${name} inflates to more than an archive of text would: ${bytes} bytes from ${position()}. Inflate it yourself if you trust it.`,
        );
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${name} is damaged or cut off after ${bytes} inflated bytes. Fetch it again.`, {
      cause: error,
    });
  } finally {
    gunzip.destroy();
    await pump;
    await all.return(undefined);
  }
};

const nextOf = async (name: string, input: AsyncGenerator<Buffer>): Promise<Buffer | undefined> => {
  try {
    const next: IteratorResult<Buffer, unknown> = await input.next();
    return next.done === true ? undefined : next.value;
  } catch (error) {
    throw new StartError(`${name} cannot be read to its end: ${reasonOf(error)}.`, { cause: error });
  }
};

const prepend = async function* (first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
};
