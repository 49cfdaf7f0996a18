import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ApolloServerPlugin, GraphQLRequest } from '@apollo/server';
import type { Logger } from '@cinegraph/service/logger';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf } from '@cinegraph/service/terminal';
import { readFiles, watchFiles } from '@cinegraph/service/watch-files';
import { printSchema, type GraphQLSchema } from 'graphql';
import { operationNotTrusted } from '../errors.js';
import type { RequestContext } from './context.js';
import type { DocumentStore } from './document-store.js';
import { indexManifest, readManifest, type ManifestIndex, type ManifestOperation } from './manifest.js';
import { checkSavedOperation } from './saved-operation.js';

/** Which operations are trusted, and what happens to the others: they are logged, or refused. */
export interface TrustedOperationsSettings {
  readonly mode: 'log' | 'enforce';
  readonly manifestPath: string;
}

/** The header with which clients of Apollo name themselves. */
const clientNameHeader = 'apollographql-client-name';

/** At most this many different operations are logged for one manifest. */
const maxLogged = 300;

/** What is executed instead of an operation that is refused, up to the hook that refuses it. */
const emptyQuery = '{ __typename }';

/** An operation of the manifest that uses introspection is validated with the rules for requests. */
const introspects = /\b__(schema|type)\b/;

/**
 * Creates the plug-in that knows the operations of a manifest. A client sends the id of one as
 * `extensions.persistedQuery.sha256Hash`, or its exact text. With `enforce`, any other operation is refused
 * with HTTP 403 before it is parsed; with `log`, it is executed, and logged once.
 *
 * The manifest is read at the start, which throws a StartError if it cannot be, and again when its file
 * changes; a manifest that cannot be read leaves the old one in use. Its operations are validated on each new
 * supergraph: invalid ones are logged, and valid ones are put into `documents`, ready for their requests.
 */
export const trustedOperations = (options: {
  settings: TrustedOperationsSettings;
  schemas: {
    readonly get: () => { readonly schema: GraphQLSchema } | undefined;
    readonly subscribe: (listener: () => void) => () => void;
  };
  documents: DocumentStore;
  logger: Logger;
  pollMs?: number;
}): ApolloServerPlugin<RequestContext> => {
  const { settings, schemas, documents, logger, pollMs } = options;
  const { mode, manifestPath: path } = settings;
  let operations: readonly ManifestOperation[] = [];
  let index: ManifestIndex = indexManifest([]);
  let logged = new Set<string>();

  const use = (text: string): void => {
    operations = readManifest(text);
    index = indexManifest(operations);
    logged = new Set();
  };
  const prepare = (): void => {
    prepareDocuments({ operations, schemas, documents, logger, isCurrent: () => operations }).catch(
      (error: unknown) => logger.error({ err: error, path }, 'the trusted operations cannot be prepared'),
    );
  };
  const watch = watchFiles({
    paths: [path],
    what: 'manifest of trusted operations',
    onChange: async ([text = ''], hash) => {
      try {
        use(text);
        logger.info({ path, hash, operations: operations.length }, 'a new manifest is used');
        prepare();
      } catch (error) {
        logger.error({ err: error, path, hash }, 'the new manifest is refused; the last one is still used');
      }
    },
    logger,
    ...(pollMs !== undefined && { pollMs }),
  });

  const log = (hash: string, name: string | null, client: string | undefined): void => {
    if (logged.has(hash) || logged.size > maxLogged) return;
    logged.add(hash);
    if (logged.size > maxLogged) {
      logger.warn(
        { maxLogged },
        'no more operations that are not trusted are logged until the manifest changes',
      );
      return;
    }
    logger.warn(
      { operation: name, sha256: hash, client: client?.slice(0, 100) },
      'an operation is not in the manifest of trusted operations',
    );
  };

  return {
    serverWillStart: async () => {
      const read = await readFiles([path]).catch((error: unknown) => {
        throw startError(`the file ${path} cannot be read (${reasonOf(error)})`, error);
      });
      try {
        use(read.texts[0] ?? '');
      } catch (error) {
        throw startError(`the manifest in ${path} cannot be used: ${reasonOf(error)}`, error);
      }
      prepare();
      const unsubscribe = schemas.subscribe(prepare);
      watch.start(read);
      return {
        serverWillStop: async () => {
          unsubscribe();
          await watch.stop();
        },
      };
    },
    requestDidStart: async ({ request }) => {
      const client = request.http?.headers.get(clientNameHeader);
      if (resolve(request, index, client)) return undefined;
      if (mode === 'log') {
        return {
          didResolveOperation: async ({ queryHash, operationName }) => log(queryHash, operationName, client),
        };
      }
      // Apollo Server refuses a request without an operation itself.
      if (!request.query && request.extensions?.['persistedQuery'] === undefined) return undefined;
      request.query = emptyQuery;
      request.extensions = withoutId(request.extensions);
      return {
        didResolveOperation: async () => {
          throw operationNotTrusted();
        },
      };
    },
  };
};

const startError = (sentence: string, cause: unknown): StartError =>
  new StartError(`OPERATIONS_MANIFEST: ${sentence}.`, { cause });

/** Writes the text of a trusted operation into its request, without an id. Returns false for any other. */
const resolve = (request: GraphQLRequest, index: ManifestIndex, client: string | undefined): boolean => {
  const { query, extensions } = request;
  const text = query ?? index.byId(idOf(extensions) ?? '', client);
  if (text === undefined || (query !== undefined && !index.hasText(query))) return false;
  request.query = text;
  request.extensions = withoutId(extensions);
  return true;
};

const idOf = (extensions: GraphQLRequest['extensions']): string | undefined => {
  const { version, sha256Hash } = (extensions?.['persistedQuery'] ?? {}) as Readonly<Record<string, unknown>>;
  return version === 1 && typeof sha256Hash === 'string' ? sha256Hash : undefined;
};

const withoutId = (extensions: GraphQLRequest['extensions']): Record<string, unknown> => {
  const others: Record<string, unknown> = { ...extensions };
  delete others['persistedQuery'];
  return others;
};

/**
 * Checks operations on the current schema, and stores the documents of valid ones under the keys of Apollo
 * Server. It yields after each, and ends early when the schema or the manifest is replaced.
 */
const prepareDocuments = async (options: {
  operations: readonly ManifestOperation[];
  schemas: { readonly get: () => { readonly schema: GraphQLSchema } | undefined };
  documents: DocumentStore;
  logger: Logger;
  isCurrent: () => readonly ManifestOperation[];
}): Promise<void> => {
  const { operations, schemas, documents, logger, isCurrent } = options;
  const schema = schemas.get()?.schema;
  if (!schema) return;
  const prefix = sha256(printSchema(schema));
  for (const { id, body, name } of operations) {
    await setImmediate();
    if (schemas.get()?.schema !== schema || isCurrent() !== operations) return;
    const { document, faults } = checkSavedOperation(body, schema);
    const [fault] = faults;
    if (fault)
      logger.warn({ id, operation: name, reason: fault.message }, 'a trusted operation is not valid');
    else if (document && !introspects.test(body)) await documents.set(`${prefix}:${sha256(body)}`, document);
  }
};

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
