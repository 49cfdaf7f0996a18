import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { StartError } from '@cinegraph/service/start-error';
import type { Logger } from '@cinegraph/service/logger';
import type { GraphQLSchema } from 'graphql';
import type { Gateway, LoadedSupergraph } from './execution/executor.js';

type SchemaListener = Parameters<Gateway['onSchemaLoadOrUpdate']>[0];

const defaultPollMs = 250;

/**
 * Serves the supergraph of a file to Apollo Server, and the file's new content as soon as it is complete: replaced,
 * rewritten, or swapped behind a symbolic link anywhere on its path. A content that cannot be served is refused with
 * its reason in the log and the old one kept; so is a file that is gone. A request ends on the supergraph it began with.
 * Loading the first one throws a StartError that says what is wrong with it.
 */
export const createSupergraphGateway = (options: {
  path: string;
  load: (sdl: string, replaces: boolean) => Promise<LoadedSupergraph>;
  logger: Logger;
  pollMs?: number;
}): { gateway: Gateway; current: () => LoadedSupergraph | undefined } => {
  const { path, load, logger, pollMs = defaultPollMs } = options;
  const listeners = new Set<SchemaListener>();
  const bySchema = new WeakMap<GraphQLSchema, LoadedSupergraph>();
  let current: LoadedSupergraph | undefined;
  let seen: { mark: string; hash: string } = { mark: '', hash: '' };
  /** Why the file could not be read at the last look, so that it is said once. */
  let unreadable = '';
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let checking: Promise<void> = Promise.resolve();

  const serve = (next: LoadedSupergraph): void => {
    current = next;
    bySchema.set(next.schema, next);
    for (const listener of listeners) listener({ apiSchema: next.schema, coreSupergraphSdl: next.sdl });
  };

  /** Looks at the file once; `previous` is the mark of the last look, so that a file still being written is left. */
  const check = async (previous: string): Promise<string> => {
    const mark = await markOf(path);
    if (mark === seen.mark || mark !== previous) return mark;
    if (mark === absent) {
      logger.warn({ path }, 'the supergraph file is gone; the last one is still served');
      seen = { ...seen, mark };
      return mark;
    }
    const sdl = await readFile(path, 'utf8');
    if ((await markOf(path)) !== mark) return '';
    const hash = hashOf(sdl);
    const changed = hash !== seen.hash;
    seen = { mark, hash };
    if (!changed) return mark;
    if (current && hash === hashOf(current.sdl)) {
      logger.info({ path }, 'the supergraph file holds again what is served');
      return mark;
    }
    const startedAt = performance.now();
    try {
      const next = await load(sdl, true);
      if (stopped) return mark;
      serve(next);
      logger.info(
        { path, hash, durationMs: Math.round(performance.now() - startedAt) },
        'a new supergraph is served',
      );
    } catch (error) {
      logger.error({ err: error, path, hash }, 'the new supergraph is refused; the last one is still served');
    }
    return mark;
  };

  const watch = (previous: string): void => {
    timer = setTimeout(() => {
      checking = check(previous)
        .then(
          (mark) => {
            unreadable = '';
            return mark;
          },
          (error: unknown) => {
            if (unreadable !== reasonOf(error)) {
              logger.error(
                { err: error, path },
                'the supergraph file cannot be read; the last one is still served',
              );
            }
            unreadable = reasonOf(error);
            return '';
          },
        )
        .then((mark) => {
          if (!stopped) watch(mark);
        });
    }, pollMs).unref();
  };

  return {
    current: () => current,
    gateway: {
      onSchemaLoadOrUpdate: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      load: async () => {
        const mark = await markOf(path);
        const sdl = await readFile(path, 'utf8').catch((error: unknown) => {
          throw new StartError(`SUPERGRAPH_PATH: the file ${path} cannot be read (${reasonOf(error)}).`, {
            cause: error,
          });
        });
        try {
          serve(await load(sdl, false));
        } catch (error) {
          throw new StartError(
            `SUPERGRAPH_PATH: the supergraph in ${path} cannot be served: ${reasonOf(error)}`,
            {
              cause: error,
            },
          );
        }
        seen = { mark, hash: hashOf(sdl) };
        watch(mark);
        return {
          executor: (request) => {
            const began = bySchema.get(request.schema);
            if (!began) throw new Error('a request names a schema that was never served');
            return began.execute(request);
          },
        };
      },
      stop: async () => {
        stopped = true;
        clearTimeout(timer);
        await checking;
      },
    },
  };
};

const absent = 'absent';

/** Changes whenever the file behind the path does, and costs no reading. */
const markOf = async (path: string): Promise<string> => {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return absent;
  }
};

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
