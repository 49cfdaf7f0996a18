import { ApolloGateway, type GraphQLDataSource } from '@apollo/gateway';
import type { ApolloServerOptions, BaseContext, GraphQLRequestContext } from '@apollo/server';
import type { Logger } from '@cinegraph/service/logger';
import type { GraphQLSchema } from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';
import type { SubgraphClient } from '../fetching/client.js';
import { isWhole } from '../fetching/response.js';
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
    buildService: ({ name, url = '' }) => dataSourceOf(clientOf({ name, url }), failures),
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
  client: SubgraphClient,
  failures: WeakMap<RequestContext, FetchFailure[]>,
): GraphQLDataSource<RequestContext> => ({
  process: async (fetch) => {
    if (fetch.kind !== 'incoming operation') throw new Error('a subgraph is only asked for a client');
    const { request, context, incomingRequestContext, pathInIncomingRequest = [] } = fetch;
    const policy = incomingRequestContext.overallCachePolicy as CachePolicy;
    const { query = '', variables, operationName } = request;
    const result = await client.fetch(
      { query, ...(variables && { variables }), ...(operationName && { operationName }) },
      context,
    );
    policy.restrict(result.cacheHint);
    if (result.errors.length > 0) {
      const fields = isWhole(result.response) ? undefined : fieldsOfFetch(query);
      failures
        .get(context)
        ?.push(...result.errors.map((error) => ({ path: pathInIncomingRequest, fields, error })));
    }
    return result.response;
  },
});
