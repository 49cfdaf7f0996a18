import { ApolloGateway, type GraphQLDataSource } from '@apollo/gateway';
import type { ApolloServerOptions, BaseContext } from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import type { Logger } from '@cinegraph/service/logger';
import { getVariableValues, GraphQLError, type GraphQLSchema, isEnumType, validateSchema } from 'graphql';
import { gatewayCode } from '../errors.js';
import type { RequestContext } from '../request.js';
import { placeFailures } from './failures.js';

/** Apollo Server's side of a gateway, under the name that its options give it. */
export type Gateway = NonNullable<ApolloServerOptions<BaseContext>['gateway']>;
/** Executes one operation that was validated against the schema it belongs to. */
export type Executor = NonNullable<Awaited<ReturnType<Gateway['load']>>['executor']>;

/** One supergraph, ready to be served. */
export interface LoadedSupergraph {
  readonly sdl: string;
  readonly schema: GraphQLSchema;
  readonly subgraphs: readonly string[];
  /** The codes that its subgraphs refuse with: the values of the enum `ErrorCode`, if there is one. */
  readonly errorCodes: ReadonlySet<string>;
  readonly execute: Executor;
}

/** By the length of the plans as JSON; in memory they take several times as much. */
const planStoreMiB = 4;

/** The planner's two limits, which only a hostile or absurd operation reaches; it throws them as plain errors. */
const isPlannerLimit = (error: unknown): boolean =>
  error instanceof Error &&
  /^(Number of non-local selections exceeds limit|Exceeded maximum recursive selections)/.test(error.message);

/**
 * Loads a supergraph: parses it, builds its API schema, the query graph and the planner. Throws when one of them cannot
 * be built; nothing of a supergraph that failed stays behind. `dataSource` is asked once per subgraph. `validate` adds
 * the rules of composition, which take a third more time and which a composed supergraph keeps anyway.
 *
 * This is the seam of the executor: today the stock one of @apollo/gateway, one instance per supergraph, so that a
 * request in flight ends on the schema that it was validated against.
 */
export const loadSupergraph = async (options: {
  sdl: string;
  dataSource: (subgraph: { name: string; url: string }) => GraphQLDataSource<RequestContext>;
  validate: boolean;
  logger: Logger;
}): Promise<LoadedSupergraph> => {
  const { sdl, dataSource, validate, logger } = options;
  // eslint-disable-next-line no-restricted-syntax -- Written, not read: the constructor below reports to Apollo without.
  process.env['APOLLO_TELEMETRY_DISABLED'] ??= '1';
  const subgraphs: string[] = [];
  const schemas: GraphQLSchema[] = [];
  const gateway = new ApolloGateway({
    supergraphSdl: sdl,
    buildService: ({ name, url = '' }) => {
      subgraphs.push(name);
      return dataSource({ name, url });
    },
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
  const [invalid] = validateSchema(schema);
  if (invalid) throw invalid;
  return {
    sdl,
    schema,
    subgraphs,
    errorCodes: errorCodesOf(schema),
    execute: withPlacedFailures(executor, logger),
  };
};

/** Says that the request as a whole is at fault: HTTP 400, and no subgraph is asked. */
const refusal = (code: string, message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code, http: { status: 400 } } });

const errorCodesOf = (schema: GraphQLSchema): ReadonlySet<string> => {
  const type = schema.getType('ErrorCode');
  return new Set(isEnumType(type) ? type.getValues().map(({ name }) => name) : []);
};

const withPlacedFailures =
  (executor: Executor, logger: Logger): Executor =>
  async (request) => {
    const context = request.context as RequestContext;
    // Typed as always there, but Apollo Server leaves it to the executor to find out that it is not.
    const operation = request.operation as typeof request.operation | undefined;
    if (!operation) {
      throw refusal(
        ApolloServerErrorCode.OPERATION_RESOLUTION_FAILURE,
        'The document holds no operation of this name, or several and none was named in "operationName".',
      );
    }
    if (operation.operation === 'subscription') {
      throw refusal(ApolloServerErrorCode.BAD_REQUEST, 'Subscriptions are not served here.');
    }
    // Before the executor does it: it would tell every fault of the variables, each with all of the value in it.
    const { errors: faults } = getVariableValues(
      request.schema,
      operation.variableDefinitions ?? [],
      request.request.variables ?? {},
      { maxErrors: 1 },
    );
    if (faults?.[0]) throw refusal(ApolloServerErrorCode.BAD_USER_INPUT, faults[0].message);
    if (operation.operation === 'query') context.endWithClient();
    let result: Awaited<ReturnType<Executor>>;
    try {
      result = await executor(request);
    } catch (error) {
      if (!isPlannerLimit(error)) throw error;
      logger.warn({ err: error }, 'an operation is too complex to plan');
      throw refusal(
        gatewayCode.operationTooComplex,
        'The operation is too complex. Ask for less, or in several requests.',
      );
    }
    if (context.failures.length === 0) return result;
    const errors = [...(result.errors ?? []), ...placeFailures(context.failures, result.data)];
    // Without `extensions`: the executor takes the nulls of the failed fetches for wrong answers and says so there.
    return { data: result.data ?? null, errors };
  };
