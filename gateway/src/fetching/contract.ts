import type { GraphQLError } from 'graphql';
import type { RequestContext } from '../request/context.js';
import type { CacheHint } from './cache-hint.js';
import type { SubgraphClient as OldClient } from './client.js';
import { parseJson } from '../execution/numbers.js';
export interface SubgraphRequest {
  readonly kind: 'query' | 'mutation';
  readonly query: string;
  readonly variables: string;
  readonly representations?: readonly string[];
}
export interface SubgraphError {
  readonly message: string;
  readonly path: readonly (string | number)[] | undefined;
  readonly extensions: { code: string; details?: unknown };
}
export interface FetchResult {
  readonly data: Record<string, unknown> | undefined;
  readonly errors: readonly SubgraphError[];
  readonly failure: GraphQLError | undefined;
  readonly cacheHint: CacheHint;
}
export interface SubgraphClient {
  fetch(request: SubgraphRequest, context: RequestContext): Promise<FetchResult>;
}
export const adapt = (old: OldClient): SubgraphClient => ({
  fetch: async ({ query, variables, representations }, context) => {
    const result = await old.fetch(
      {
        query: JSON.parse(query) as string,
        variables: parseJson(
          `{${variables}${variables && representations ? ',' : ''}${representations ? `"representations":[${representations.join(',')}]` : ''}}`,
        ) as Record<string, unknown>,
      },
      context,
    );
    const { data, errors = [] } = result.response;
    const failed = data === undefined && errors.length === 0;
    return {
      data,
      errors: [
        ...errors.map(({ message, path, extensions }) => ({
          message,
          path,
          extensions: extensions as never,
        })),
        ...(failed
          ? []
          : result.errors.map((e) => ({
              message: e.message,
              path: undefined,
              extensions: e.extensions as never,
            }))),
      ],
      failure: failed ? result.errors[0] : undefined,
      cacheHint: result.cacheHint,
    };
  },
});
