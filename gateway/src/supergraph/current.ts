import type { Logger } from '@cinegraph/service/logger';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { readFiles, watchFiles } from '@cinegraph/service/watch-files';
import type { GraphQLSchema } from 'graphql';
import type { LoadedSupergraph } from './load.js';

type SchemaListener = (supergraph: LoadedSupergraph) => void;

/** The supergraph of a file, and whichever ones requests in flight still use. */
export interface CurrentSupergraph {
  /**
   * Loads the first supergraph and starts to watch the file. Throws a StartError that says what is wrong with
   * it.
   */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Returns the supergraph that is served; undefined before the start. */
  get(): LoadedSupergraph | undefined;
  /**
   * Returns the supergraph to which a schema belongs, so that a request ends on the supergraph it began with.
   */
  bySchema(schema: GraphQLSchema): LoadedSupergraph;
  /**
   * Calls the listener with each supergraph that is served from now on. Returns a function that removes it.
   */
  subscribe(listener: SchemaListener): () => void;
}

/**
 * Serves the supergraph of a file, and its new content when the file changes. A content that cannot be served
 * is refused with the reason in the log, and the old supergraph is kept.
 */
export const createCurrentSupergraph = (options: {
  path: string;
  load: (sdl: string, validate: boolean, replaces: LoadedSupergraph | undefined) => Promise<LoadedSupergraph>;
  /** How long requests may still be served on a supergraph that was replaced. */
  retireAfterMs: number;
  logger: Logger;
  pollMs?: number;
}): CurrentSupergraph => {
  const { path, load, retireAfterMs, logger, pollMs } = options;
  const listeners = new Set<SchemaListener>();
  const supergraphs = new WeakMap<GraphQLSchema, LoadedSupergraph>();
  let current: LoadedSupergraph | undefined;
  let stopped = false;

  const serve = (next: LoadedSupergraph): void => {
    const replaced = current;
    if (replaced) setTimeout(() => void replaced.planner?.stop(), retireAfterMs).unref();
    current = next;
    supergraphs.set(next.schema, next);
    for (const listener of listeners) listener(next);
  };

  const onChange = async ([sdl = '']: readonly string[], hash: string): Promise<void> => {
    if (sdl === current?.sdl) {
      logger.info({ path }, 'the supergraph file again has the content that is served');
      return;
    }
    const startedAt = performance.now();
    try {
      const next = await load(sdl, true, current);
      if (stopped) {
        await next.planner?.stop();
        return;
      }
      serve(next);
      const durationMs = Math.round(performance.now() - startedAt);
      logger.info({ path, hash, durationMs }, 'a new supergraph is served');
    } catch (error) {
      logger.error({ err: error, path, hash }, 'the new supergraph is refused; the last one is still served');
    }
  };
  const watch = watchFiles({
    paths: [path],
    what: 'supergraph file',
    onChange,
    logger,
    ...(pollMs !== undefined && { pollMs }),
  });

  return {
    get: () => current,
    bySchema: (schema) => {
      const supergraph = supergraphs.get(schema);
      if (!supergraph) throw new Error('a request names a schema that was never served');
      return supergraph;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start: async () => {
      const read = await readFiles([path]).catch((error: unknown) => {
        throw new StartError(`SUPERGRAPH_PATH: the file ${path} cannot be read (${reasonOf(error)}).`, {
          cause: error,
        });
      });
      try {
        // There is no supergraph to keep instead, and readiness waits: the composition rules are not checked
        // here.
        serve(await load(read.texts[0] ?? '', false, undefined));
      } catch (error) {
        throw new StartError(
          `SUPERGRAPH_PATH: the supergraph in ${path} cannot be served: ${reasonOf(error)}`,
          { cause: error },
        );
      }
      watch.start(read);
    },
    stop: async () => {
      stopped = true;
      await watch.stop();
      await current?.planner?.stop();
    },
  };
};
