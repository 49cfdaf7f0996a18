import { ApolloGateway, type GraphQLDataSource } from '@apollo/gateway';
import type { ApolloServerOptions, BaseContext, GraphQLRequestContext } from '@apollo/server';
import type { Logger } from '@cinegraph/service/logger';
import { GraphQLError, type GraphQLSchema } from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';
import type { FetchResult, SubgraphClient, SubgraphRequest } from '../fetching/client.js';
import { isObject } from '../fetching/response.js';
import type { RequestContext } from '../request/context.js';
import { checkOperation } from './check-operation.js';
import { errorsOfFailures, fieldsOfFetch, type FetchFailure } from './failures.js';
import { introspect, splitIntrospection } from './introspection.js';

type ApolloGatewayInterface = NonNullable<ApolloServerOptions<BaseContext>['gateway']>;

/** Executes one operation that was validated against the schema it belongs to. */
type Execute = NonNullable<Awaited<ReturnType<ApolloGatewayInterface['load']>>['executor']>;

/** The cache policy of the whole response, which Apollo Server keeps under this name. */
type CachePolicy = GraphQLRequestContext<RequestContext>['overallCachePolicy'];

/** The executor of one supergraph. */
export interface StockExecutor {
  readonly schema: GraphQLSchema;
  readonly execute: Execute;
}

/** Size of the plan cache, as JSON; in memory, plans take about four times as much. */
const planStoreMiB = 2;

/** The planner throws its two limits, which only a hostile operation reaches, as plain errors. */
const isPlannerLimit = (error: unknown): boolean =>
  error instanceof Error &&
  /^(Number of non-local selections exceeds limit|Exceeded maximum recursive selections)/.test(error.message);

/**
 * Opens the stock executor of @apollo/gateway on a supergraph: one instance for each supergraph, so that a
 * request in flight ends on the schema that it was validated against. Throws if the schema, the query graph
 * or the planner cannot be built. `clientOf` is called once for each subgraph.
 */
export const openStockExecutor = async (options: {
  sdl: string;
  clientOf: (subgraph: { name: string; url: string }) => SubgraphClient;
  validate: boolean;
  logger: Logger;
}): Promise<StockExecutor> => {
  const { sdl, clientOf, validate, logger } = options;
  // eslint-disable-next-line no-restricted-syntax -- Written, not read: it stops reports to Apollo.
  process.env['APOLLO_TELEMETRY_DISABLED'] ??= '1';
  /** The failed fetches of each request; the executor has no other way to return them (see failures.ts). */
  const failures = new WeakMap<RequestContext, FetchFailure[]>();
  const schemas: GraphQLSchema[] = [];
  const gateway = new ApolloGateway({
    supergraphSdl: sdl,
    buildService: ({ name, url = '' }) => dataSourceOf(name, clientOf({ name, url }), failures),
    logger: logger.child({}, { level: 'warn' }),
    experimental_approximateQueryPlanStoreMiB: planStoreMiB,
    __exposeQueryPlanExperimental: false,
    validateSupergraph: validate,
  });
  gateway.onSchemaLoadOrUpdate(({ apiSchema }) => {
    schemas.push(apiSchema);
  });
  const { executor } = await gateway.load({ apollo: {} });
  const schema = schemas.at(-1);
  if (!schema) throw new Error('the supergraph has no API schema');

  const execute: Execute = async (request) => {
    const context = request.context as RequestContext;
    const { operation } = checkOperation(
      request.schema,
      request.document,
      request.operation,
      request.request.variables ?? {},
    );
    if (operation.operation === 'query') context.deadline.abortWithClient();
    const failed: FetchFailure[] = [];
    failures.set(context, failed);
    const { introspection, rest } = splitIntrospection({ document: request.document, operation });
    const introspected =
      introspection && introspect(request.schema, introspection, request.request.variables ?? {});
    if (!rest) return introspected ?? { data: {} };
    let result: Awaited<ReturnType<Execute>>;
    try {
      result = await executor({ ...request, ...rest });
    } catch (error) {
      if (!isPlannerLimit(error)) throw error;
      logger.warn({ err: error }, 'an operation is too complex to plan');
      throw refusedOperation(
        gatewayCode.operationTooComplex,
        'The operation is too complex. Ask for less, or in several requests.',
      );
    }
    if (introspected && result.data) Object.assign(result.data, introspected.data);
    if (failed.length === 0) return result;
    const errors = [...(result.errors ?? []), ...errorsOfFailures(failed, result.data)];
    // Without `extensions`: there the executor reports the nulls of failed fetches as invalid values of a
    // subgraph.
    return { data: result.data ?? null, errors };
  };
  return { schema, execute };
};

/** Adapts the client of a subgraph to what the stock executor calls. */
const dataSourceOf = (
  subgraph: string,
  client: SubgraphClient,
  failures: WeakMap<RequestContext, FetchFailure[]>,
): GraphQLDataSource<RequestContext> => ({
  process: async (fetch) => {
    if (fetch.kind !== 'incoming operation') throw new Error('a subgraph is only asked for a client');
    const { request, context, incomingRequestContext, pathInIncomingRequest = [] } = fetch;
    const policy = incomingRequestContext.overallCachePolicy as CachePolicy;
    const { query = '' } = request;
    const result = await client.fetch(requestOf(query, request.variables ?? {}), context);
    policy.restrict(result.cacheHint);
    const errors = result.failure ? [result.failure] : errorsWithoutPath(result, subgraph);
    if (errors.length > 0) {
      const fields = isWhole(result) ? undefined : fieldsOfFetch(query);
      failures.get(context)?.push(...errors.map((error) => ({ path: pathInIncomingRequest, fields, error })));
    }
    const withPath = result.errors.flatMap(({ path, ...error }) => (path ? [{ ...error, path }] : []));
    return { ...(result.data && { data: result.data }), ...(withPath.length > 0 && { errors: withPath }) };
  },
});

/** Writes a fetch of the stock executor as a request. The planner writes the operation first. */
const requestOf = (query: string, variables: Readonly<Record<string, unknown>>): SubgraphRequest => {
  const { representations, ...others } = variables;
  return {
    kind: /^\s*(?:query\b|\{)/.test(query) ? 'query' : 'mutation',
    query: JSON.stringify(query),
    variables: JSON.stringify(others).slice(1, -1),
    ...(Array.isArray(representations) && {
      representations: representations.map((representation) => JSON.stringify(representation)),
    }),
  };
};

const errorsWithoutPath = ({ errors }: FetchResult, serviceName: string): GraphQLError[] =>
  errors
    .filter(({ path }) => path === undefined)
    .map(
      ({ message, extensions }) => new GraphQLError(message, { extensions: { ...extensions, serviceName } }),
    );

/** Returns true if a result has data, and no fetched entity and no fetched field in it is null. */
const isWhole = ({ data }: FetchResult): boolean => {
  const entities = data?.['_entities'];
  const objects: readonly unknown[] = Array.isArray(entities) ? entities : [data];
  return objects.every(
    (object) => isObject(object) && Object.values(object).every((value) => value !== null),
  );
};
