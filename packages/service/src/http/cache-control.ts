import type { ApolloServerPlugin, BaseContext } from '@apollo/server';
import { ApolloServerPluginCacheControl } from '@apollo/server/plugin/cacheControl';

/** Of an answer that was made for whoever asked: nobody else may see it, and the asker's own cache does not keep it. */
export const ownAnswer = 'private, no-store';

/** Of an answer that nothing says may be kept. */
export const unkeptAnswer = 'no-store';

/**
 * The plug-ins that write `Cache-Control` of GraphQL answers: `max-age=<seconds>, public` where hints allow it, by the
 * least of them (`@cacheControl` of the schema; in a gateway what the subgraphs said); `private, no-store` for mutations,
 * answers with errors, a PRIVATE hint, and where `dependsOnClient` says so; `no-store` where there is no hint. An error
 * that brings a `Cache-Control` of its own keeps it.
 */
export const cacheControl = <Context extends BaseContext>(
  dependsOnClient: (context: Context) => boolean = () => false,
): ApolloServerPlugin<Context>[] => [
  // Only gathers the hints: it would let an answer to a viewer be kept, and one to a mutation.
  ApolloServerPluginCacheControl({ calculateHttpHeaders: false }),
  {
    requestDidStart: async () => ({
      willSendResponse: async ({ response, overallCachePolicy, operation, contextValue }) => {
        const { body, http } = response;
        const failed = body.kind === 'single' && (body.singleResult.errors?.length ?? 0) > 0;
        if (failed && http.headers.has('cache-control')) return;
        const own =
          failed ||
          operation?.operation !== 'query' ||
          overallCachePolicy.scope === 'PRIVATE' ||
          dependsOnClient(contextValue);
        const keptSeconds = body.kind === 'single' ? (overallCachePolicy.maxAge ?? 0) : 0;
        http.headers.set(
          'cache-control',
          own ? ownAnswer : keptSeconds > 0 ? `max-age=${keptSeconds}, public` : unkeptAnswer,
        );
      },
    }),
  },
];

/**
 * Reads a `Cache-Control` as a hint: for how many seconds others may keep the answer, and whether it is one person's.
 * What is absent, cannot be read, or says `no-store` or `no-cache` may be kept for 0 seconds; of `max-age` and
 * `s-maxage` the lesser counts, since a copy may lie in both kinds of caches.
 */
export const readCacheControl = (
  header: string | readonly string[] | undefined,
): { maxAge: number; scope: 'PUBLIC' | 'PRIVATE' } => {
  let maxAge: number | undefined;
  let sharedMaxAge = Infinity;
  let scope: 'PUBLIC' | 'PRIVATE' = 'PUBLIC';
  let forbidden = false;
  for (const directive of String(header ?? '').split(',')) {
    const [name = '', value = ''] = directive.split('=').map((part) => part.trim().toLowerCase());
    if (name === 'private') scope = 'PRIVATE';
    else if (name === 'no-store' || name === 'no-cache') forbidden = true;
    else if (name === 'max-age') maxAge = Math.min(maxAge ?? Infinity, readSeconds(value));
    else if (name === 's-maxage') sharedMaxAge = Math.min(sharedMaxAge, readSeconds(value));
  }
  return { maxAge: forbidden ? 0 : Math.min(maxAge ?? 0, sharedMaxAge), scope };
};

/** More than a year is a year, as caches have it. */
const readSeconds = (text: string): number => (/^\d+$/.test(text) ? Math.min(Number(text), 31_536_000) : 0);
