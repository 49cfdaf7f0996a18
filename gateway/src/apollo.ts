import {
  ApolloServer,
  HeaderMap,
  type ApolloServerPlugin,
  type GraphQLRequestContext,
  type GraphQLRequestListener,
  type GraphQLResponse,
  type HTTPGraphQLHead,
} from '@apollo/server';
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
import { GraphQLError, type FormattedExecutionResult } from 'graphql';
import type { Config } from './config.js';
import { maskErrors } from './errors.js';
import type { Explanation, OperationResult } from './execution/executor.js';
import { responseWith, type JsonText } from './execution/json-output.js';
import type { StockExecutor } from './execution/stock.js';
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
        return { executor: executeStock(supergraph) };
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
      execution(supergraph, explains ? costOf : undefined, formatError),
      ApolloServerPluginLandingPageDisabled(),
    ],
  });
};

/** The `data` of a response, which is JSON text already, and further members of the response. */
class WrittenData {
  readonly text: JsonText;
  readonly members: string;
  constructor(text: JsonText, members: string) {
    this.text = text;
    this.members = members;
  }
}

/** Returns `data` as Apollo Server takes it, which passes it on to `stringify`. */
const writtenData = (text: JsonText, members: string): Record<string, unknown> =>
  new WrittenData(text, members) as unknown as Record<string, unknown>;

/** Returns the executor of the gateway, which is called only with `EXECUTOR=stock`. */
const executeStock =
  (supergraph: CurrentSupergraph): StockExecutor['execute'] =>
  async (request) => {
    const { executor } = supergraph.bySchema(request.schema);
    if (executor.kind !== 'stock') throw new Error('this supergraph has another executor');
    return executor.execute(request);
  };

/** The head of a response whose status and headers nothing has changed. */
const plainHead: HTTPGraphQLHead = { headers: new HeaderMap() };

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/**
 * Returns the plug-in that executes operations on the supergraph that they were validated against. With
 * `costOf`, clients may ask how their operation was executed and what it cost.
 *
 * It is hot. As the executor of a gateway, it would be given a copy of what Apollo Server knows of the
 * request, with accessors on it. V8 makes a class for each such object, in its old space, and keeps all that
 * the object refers to until the next full collection (docs/decisions/0053).
 */
const execution = (
  supergraph: CurrentSupergraph,
  costOf: CostMeter | undefined,
  formatError: ReturnType<typeof maskErrors>,
): ApolloServerPlugin<RequestContext> => {
  const listener: GraphQLRequestListener<RequestContext> = {
    responseForOperation: async (operation) => {
      const { executor, ofField } = supergraph.bySchema(operation.schema);
      // Apollo Server then calls the executor of the gateway.
      if (executor.kind === 'stock') return null;
      const { request, contextValue: context, overallCachePolicy: policy } = operation;
      const headers = costOf ? request.http?.headers : undefined;
      const format = () => chooseFormat(request.http?.headers.get('accept'));
      let result: OperationResult;
      try {
        result = await executor.execute({
          document: operation.document,
          operation: operation.operation,
          variables: request.variables ?? {},
          context,
          acceptsParts: () => format() !== undefined,
          explains: headers !== undefined && (headers.has(explainHeader) || headers.has(sandboxPlanHeader)),
        });
      } catch (error) {
        return refuse(operation, error, formatError);
      }
      const { data, errors, cacheHint, explanation, deferred } = result;
      if (cacheHint) policy.restrict(cacheHint);
      const partFormat = deferred && format();
      let members = '';
      if (partFormat) {
        const stream: PartStream = {
          ...{ format: partFormat, deliveries: deferred },
          formatError: (error) => formatError(error.toJSON(), error),
        };
        operation.response.http.headers.set('content-type', partsContentType(partFormat));
        context.sendParts((first) => writeParts(first, stream));
        policy.restrict({ maxAge: 0 });
        members = firstMembers(stream);
      }
      const singleResult: Mutable<FormattedExecutionResult> = { data: writtenData(data, members) };
      if (errors.length > 0) singleResult.errors = errors.map((error) => formatError(error.toJSON(), error));
      if (explanation) {
        const isWhole = headers?.has(explainHeader) === true;
        const counted = { ...operation, variables: request.variables ?? {} };
        const cost = isWhole && costOf ? { cost: costsOf(counted, data, ofField, costOf) } : {};
        singleResult.extensions = { ...extensionsOf(explanation, isWhole), ...cost };
      }
      return { http: plainHead, body: { kind: 'single', singleResult } };
    },
  };
  return { requestDidStart: async () => listener };
};

/** Returns the response to an operation that is refused before anything is fetched. */
const refuse = (
  operation: GraphQLRequestContext<RequestContext>,
  thrown: unknown,
  formatError: ReturnType<typeof maskErrors>,
): GraphQLResponse => {
  const error =
    thrown instanceof GraphQLError
      ? thrown
      : new GraphQLError(String(thrown), { originalError: thrown instanceof Error ? thrown : null });
  // Plug-ins that choose the status and the headers look there.
  Object.assign(operation, { errors: [error] });
  const { status = 500, headers = plainHead.headers } = (error.extensions['http'] ??
    {}) as Partial<HTTPGraphQLHead>;
  const errors = [formatError(error.toJSON(), error)];
  return { http: { status, headers }, body: { kind: 'single', singleResult: { errors } } };
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
  if (typeof text !== 'string' && !errors && !extensions && members === '')
    return responseWith(text) as unknown as string;
  const before = errors ? `{"errors":${JSON.stringify(errors)},"data":` : '{"data":';
  const after = [...(extensions ? [`"extensions":${JSON.stringify(extensions)}`] : []), members];
  const end = `${after
    .filter((member) => member !== '')
    .map((member) => `,${member}`)
    .join('')}}`;
  if (typeof text === 'string') return `${before}${text}${end}`;
  return Buffer.concat([Buffer.from(before), text, Buffer.from(end)]) as unknown as string;
};
