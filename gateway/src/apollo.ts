import { ApolloServer, type ApolloServerOptions, type GraphQLRequestContext } from '@apollo/server';
import {
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { cacheControl } from '@cinegraph/service/http/cache-control';
import { statusByMediaType } from '@cinegraph/service/http/graphql';
import type { Logger } from '@cinegraph/service/logger';
import type { FormattedExecutionResult } from 'graphql';
import type { Config } from './config.js';
import { maskErrors } from './errors.js';
import type { Explanation } from './execution/executor.js';
import { chooseFormat, firstMembers, partsContentType, writeParts, type PartStream } from './http/parts.js';
import { dependsOnClient, type RequestContext } from './request/context.js';
import { deferRules } from './request/defer-rules.js';
import { maxTokens } from './request/document-size.js';
import { createDocumentStore } from './request/document-store.js';
import { operationLimits } from './request/limits.js';
import { trustedOperations } from './request/trusted-operations.js';
import type { CurrentSupergraph } from './supergraph/current.js';

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
  {
    environment,
    explains,
    trustedOperations: trusted,
  }: Pick<Config, 'environment' | 'explains' | 'trustedOperations'>,
  supergraph: CurrentSupergraph,
  logger: Logger,
): ApolloServer<RequestContext> => {
  const inProduction = environment === 'production';
  const formatError = maskErrors({
    schemaCodes: () => supergraph.get()?.errorCodes ?? new Set(),
    hidesSchema: inProduction,
    logger,
  });
  const documents = createDocumentStore({ maxBytes: documentStoreBytes });
  return new ApolloServer<RequestContext>({
    gateway: {
      onSchemaLoadOrUpdate: (listener) =>
        supergraph.subscribe(({ schema, sdl }) => listener({ apiSchema: schema, coreSupergraphSdl: sdl })),
      load: async () => {
        await supergraph.start();
        return { executor: executeCurrent(supergraph, explains, formatError) };
      },
      stop: supergraph.stop,
    },
    nodeEnv: environment,
    logger: logger.child({}, { level: 'warn' }),
    stopOnTerminationSignals: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    introspection: !inProduction,
    hideSchemaDetailsFromClientErrors: inProduction,
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
      operationLimits((schema) => supergraph.bySchema(schema).ofField),
      ...cacheControl(dependsOnClient),
      ApolloServerPluginLandingPageDisabled(),
    ],
  });
};

type ApolloGatewayInterface = NonNullable<ApolloServerOptions<RequestContext>['gateway']>;
type ApolloExecutor = NonNullable<Awaited<ReturnType<ApolloGatewayInterface['load']>>['executor']>;

/** The cache policy of the whole response, which Apollo Server keeps under this name. */
type CachePolicy = GraphQLRequestContext<RequestContext>['overallCachePolicy'];

/** The `data` of a response, which is JSON text already, and further members of the response. */
class JsonText {
  readonly text: string;
  readonly members: string;
  constructor(text: string, members: string) {
    this.text = text;
    this.members = members;
  }
}

/** Executes a request of Apollo Server on the supergraph that it was validated against. */
const executeCurrent =
  (
    supergraph: CurrentSupergraph,
    allowsExplanation: boolean,
    formatError: ReturnType<typeof maskErrors>,
  ): ApolloExecutor =>
  async (request) => {
    const { executor } = supergraph.bySchema(request.schema);
    if (executor.kind === 'stock') return executor.execute(request);
    const headers = allowsExplanation ? request.request.http?.headers : undefined;
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
    const text = new JsonText(data, stream ? firstMembers(stream) : '') as unknown as Record<string, unknown>;
    return {
      data: text,
      ...(errors.length > 0 && { errors }),
      ...(explanation && { extensions: extensionsOf(explanation, headers?.has(explainHeader) === true) }),
    };
  };

/** Asks for `extensions.explain`: the plan, and what each fetch did. */
const explainHeader = 'x-explain';

/** The header with which Apollo Sandbox asks for the plan. */
const sandboxPlanHeader = 'apollo-query-plan-experimental';

const extensionsOf = (explanation: Explanation, isWhole: boolean): Record<string, unknown> =>
  isWhole ? { explain: explanation } : { __queryPlanExperimental: explanation.plan };

/** Writes a response as JSON. */
const stringify = ({ data, errors, extensions }: FormattedExecutionResult): string => {
  if (!((data as unknown) instanceof JsonText)) return JSON.stringify({ errors, data, extensions });
  const { text, members } = data as unknown as JsonText;
  const parts = errors ? [`"errors":${JSON.stringify(errors)}`] : [];
  parts.push(`"data":${text}`);
  if (extensions) parts.push(`"extensions":${JSON.stringify(extensions)}`);
  if (members !== '') parts.push(members);
  return `{${parts.join(',')}}`;
};
