import type { ApolloServerPlugin, BaseContext, GraphQLRequestListener } from '@apollo/server';
import { ApolloServerPluginCacheControl } from '@apollo/server/plugin/cacheControl';
import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';

/** `Cache-Control` of a response that depends on the viewer: no cache may store it. */
export const privateResponse = 'private, no-store';

/** `Cache-Control` of a response without any cache hint. */
export const uncachedResponse = 'no-store';

/**
 * Returns the plug-ins that set `Cache-Control` on GraphQL responses. The value is
 *
 * - `private, no-store` for mutations, for errors, for a PRIVATE hint, and if `dependsOnClient` is true;
 * - `max-age=<seconds>, public` with the smallest hint, if all hints allow it. With `schema`, hints come from
 *   its `@cacheControl`; with `executor`, from the executor of a gateway;
 * - `no-store` otherwise.
 *
 * A `Cache-Control` that an error has already set is kept.
 */
export const cacheControl = <Context extends BaseContext>(
  source: 'schema' | 'executor',
  dependsOnClient: (context: Context) => boolean = () => false,
): ApolloServerPlugin<Context>[] => {
  const listener: GraphQLRequestListener<Context> = {
    willSendResponse: async ({ response, overallCachePolicy, operation, contextValue }) => {
      const { body, http } = response;
      const failed = body.kind === 'single' && (body.singleResult.errors?.length ?? 0) > 0;
      if (failed && http.headers.has('cache-control')) return;
      const isPrivate =
        failed ||
        operation?.operation !== 'query' ||
        overallCachePolicy.scope === 'PRIVATE' ||
        dependsOnClient(contextValue);
      const keptSeconds = body.kind === 'single' ? (overallCachePolicy.maxAge ?? 0) : 0;
      http.headers.set(
        'cache-control',
        isPrivate ? privateResponse : keptSeconds > 0 ? `max-age=${keptSeconds}, public` : uncachedResponse,
      );
    },
  };
  return [
    // It only collects the hints: its own header would let caches store a viewer's response, or a mutation's.
    source === 'schema'
      ? ApolloServerPluginCacheControl({ calculateHttpHeaders: false })
      : ApolloServerPluginCacheControlDisabled(),
    { requestDidStart: async () => listener },
  ];
};

/**
 * Reads a `Cache-Control` header as a hint: for how many seconds the response may be cached, and whether it
 * is PRIVATE. A header that is absent, invalid, or has `no-store` or `no-cache` allows 0 seconds. Of
 * `max-age` and `s-maxage` the smaller one is used, because both private and shared caches may store the
 * response.
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

/** Reads a number of seconds, at most one year. */
const readSeconds = (text: string): number => (/^\d+$/.test(text) ? Math.min(Number(text), 31_536_000) : 0);
