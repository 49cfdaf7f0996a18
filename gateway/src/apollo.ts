import { ApolloServer, type ApolloServerOptions, type GraphQLRequestContext } from '@apollo/server';
import {
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { deferRules } from '@cinegraph/service/defer';
import { cacheControl } from '@cinegraph/service/http/cache-control';
import { statusByMediaType } from '@cinegraph/service/http/graphql';
import type { Logger } from '@cinegraph/service/logger';
import type { CountedOperation } from '@cinegraph/service/list-cost';
import type { FormattedExecutionResult } from 'graphql';
import type { Config } from './config.js';
import { maskErrors } from './errors.js';
import type { Explanation } from './execution/executor.js';
import { responseWith, type JsonText } from './execution/json-output.js';
import { chooseFormat, firstMembers, partsContentType, writeParts, type PartStream } from './http/parts.js';
import { dependsOnClient, type RequestContext } from './request/context.js';
import { maxTokens } from './request/document-size.js';
import { createDocumentStore } from './request/document-store.js';
import { operationLimits } from './request/limits.js';
import { trustedOperations } from './request/trusted-operations.js';
import { actualCost, createCostMeter, type CostMeter } from './request/operation-cost.js';
import type { CurrentSupergraph } from './supergraph/current.js';
import type { CostOfField } from './supergraph/field-rules.js';

/** Maximum number of validation errors returned for one operation; a tool that lists all of them probes. */
const maxValidationErrors = 5;

/** Memory for parsed documents, about 150,000 characters of operations. */
const documentStoreBytes = 8 * 1024 * 1024;

/**
 * Creates the Apollo Server that owns the HTTP request from parsing to the response: persisted queries,
 * validation, error masking and `Cache-Control`. It executes on the supergraph that is current when a request
 * begins. Its start loads the supergraph, and throws a StartError if that cannot be served.
 */
export const createApolloServer = (
  config: Pick<Config, 'environment' | 'explains' | 'introspection' | 'budgets' | 'trustedOperations'>,
  supergraph: CurrentSupergraph,
  logger: Logger,
): ApolloServer<RequestContext> => {
  const { environment, explains, introspection, budgets, trustedOperations: trusted } = config;
  const inProduction = environment === 'production';
  const documents = createDocumentStore({ maxBytes: documentStoreBytes });
  const costOf = createCostMeter(Object.keys(budgets.fields));
  // A suggestion would name what introspection does not show.
  const hidesSchema = inProduction || introspection === 'visible';
  const formatError = maskErrors({
    schemaCodes: () => supergraph.get()?.errorCodes ?? new Set(),
    hidesSchema,
    logger,
  });
  return new ApolloServer<RequestContext>({
    gateway: {
      onSchemaLoadOrUpdate: (listener) =>
        supergraph.subscribe(({ schema, sdl }) => listener({ apiSchema: schema, coreSupergraphSdl: sdl })),
      load: async () => {
        await supergraph.start();
        return { executor: executeCurrent(supergraph, explains ? costOf : undefined, formatError) };
      },
      stop: supergraph.stop,
    },
    nodeEnv: environment,
    logger: logger.child({}, { level: 'warn' }),
    stopOnTerminationSignals: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    introspection: introspection !== 'off',
    hideSchemaDetailsFromClientErrors: hidesSchema,
    includeStacktraceInErrorResponses: false,
    maxRecursiveSelections: true,
    parseOptions: { maxLexicalTokens: maxTokens },
    validationRules: [deferRules],
    validationOptions: { maxErrors: maxValidationErrors },
    cache: 'bounded',
    documentStore: documents,
    // A client cannot register what is refused anyway.
    ...(trusted?.mode === 'enforce' && { persistedQueries: false }),
    formatError,
    stringifyResult: stringify,
    plugins: [
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      statusByMediaType(),
      ...(trusted ? [trustedOperations({ settings: trusted, schemas: supergraph, documents, logger })] : []),
      operationLimits((counted) => costOf(counted, supergraph.bySchema(counted.schema).ofField)),
      ...cacheControl('executor', dependsOnClient),
      ApolloServerPluginLandingPageDisabled(),
    ],
  });
};

type ApolloGatewayInterface = NonNullable<ApolloServerOptions<RequestContext>['gateway']>;
type ApolloExecutor = NonNullable<Awaited<ReturnType<ApolloGatewayInterface['load']>>['executor']>;

/** The cache policy of the whole response, which Apollo Server keeps under this name. */
type CachePolicy = GraphQLRequestContext<RequestContext>['overallCachePolicy'];

/** The `data` of a response, which is JSON text already, and further members of the response. */
class WrittenData {
  readonly text: JsonText;
  readonly members: string;
  constructor(text: JsonText, members: string) {
    this.text = text;
    this.members = members;
  }
}

/**
 * Executes a request of Apollo Server on the supergraph that it was validated against. With `costOf`, clients
 * may ask how it was executed and what it cost.
 */
const executeCurrent =
  (
    supergraph: CurrentSupergraph,
    costOf: CostMeter | undefined,
    formatError: ReturnType<typeof maskErrors>,
  ): ApolloExecutor =>
  async (request) => {
    const { executor, ofField } = supergraph.bySchema(request.schema);
    if (executor.kind === 'stock') return executor.execute(request);
    const headers = costOf ? request.request.http?.headers : undefined;
    const context = request.context as RequestContext;
    const format = () => chooseFormat(request.request.http?.headers.get('accept'));
    const { data, errors, cacheHint, explanation, deferred } = await executor.execute({
      document: request.document,
      operation: request.operation,
      variables: request.request.variables ?? {},
      context,
      acceptsParts: () => format() !== undefined,
      explains: headers !== undefined && (headers.has(explainHeader) || headers.has(sandboxPlanHeader)),
    });
    const policy = request.overallCachePolicy as CachePolicy;
    if (cacheHint) policy.restrict(cacheHint);
    const partFormat = deferred && format();
    const stream: PartStream | undefined = partFormat && {
      ...{ format: partFormat, deliveries: deferred },
      formatError: (error) => formatError(error.toJSON(), error),
    };
    if (stream) {
      request.response?.http?.headers.set('content-type', partsContentType(stream.format));
      context.sendParts((first) => writeParts(first, stream));
      policy.restrict({ maxAge: 0 });
    }
    const members = stream ? firstMembers(stream) : '';
    const written = new WrittenData(data, members) as unknown as Record<string, unknown>;
    const isWhole = headers?.has(explainHeader) === true;
    const counted = { ...request, variables: request.request.variables ?? {} };
    return {
      data: written,
      ...(errors.length > 0 && { errors }),
      ...(explanation && {
        extensions: {
          ...extensionsOf(explanation, isWhole),
          ...(isWhole && costOf && { cost: costsOf(counted, data, ofField, costOf) }),
        },
      }),
    };
  };

/** Returns the cost of an operation before its execution, and by the lengths of the lists in its data. */
const costsOf = (counted: CountedOperation, data: JsonText, ofField: CostOfField, costOf: CostMeter) => ({
  estimated: costOf(counted, ofField).cost,
  actual: actualCost(counted, JSON.parse(data.toString()), ofField),
});

/** Asks for `extensions.explain`: the plan, and what each fetch did, and for `extensions.cost`. */
const explainHeader = 'x-explain';

/** The header with which Apollo Sandbox asks for the plan. */
const sandboxPlanHeader = 'apollo-query-plan-experimental';

const extensionsOf = (explanation: Explanation, isWhole: boolean): Record<string, unknown> =>
  isWhole ? { explain: explanation } : { __queryPlanExperimental: explanation.plan };

/**
 * Writes a response as JSON. Apollo Server passes the body on as it is, apart from its length in bytes, so
 * that it may be bytes.
 */
const stringify = ({ data, errors, extensions }: FormattedExecutionResult): string => {
  if (!((data as unknown) instanceof WrittenData)) return JSON.stringify({ errors, data, extensions });
  const { text, members } = data as unknown as WrittenData;
  const before = errors ? `{"errors":${JSON.stringify(errors)},"data":` : '{"data":';
  const after = [...(extensions ? [`"extensions":${JSON.stringify(extensions)}`] : []), members];
  const end = `${after
    .filter((member) => member !== '')
    .map((member) => `,${member}`)
    .join('')}}`;
  if (typeof text === 'string') return `${before}${text}${end}`;
  if (!errors && end === '}') return responseWith(text) as unknown as string;
  return Buffer.concat([Buffer.from(before), text, Buffer.from(end)]) as unknown as string;
};
