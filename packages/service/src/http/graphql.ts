import { Readable } from 'node:stream';
import {
  HeaderMap,
  type ApolloServer,
  type ApolloServerPlugin,
  type BaseContext,
  type GraphQLRequestListener,
} from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Kind, type GraphQLError } from 'graphql';

/**
 * Returns the route handler that executes GraphQL requests on `apollo`, which must have been started. It
 * returns the body of the response: text or a stream.
 */
export const graphqlHandler =
  <Context extends BaseContext>(
    apollo: ApolloServer<Context>,
    context: (request: FastifyRequest, reply: FastifyReply) => Promise<Context>,
  ) =>
  async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const headers = new HeaderMap();
    // Object.entries would make a list for each of them.
    for (const name in request.headers) {
      const value = request.headers[name];
      if (value) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    }
    const { body, method } = request;
    const response = await apollo.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { body, method, headers, search: searchOf(request.url) },
      context: () => context(request, reply),
    });
    for (const [name, value] of response.headers) reply.header(name, value);
    reply.status(response.status ?? 200);
    return response.body.kind === 'complete'
      ? response.body.string
      : Readable.from(response.body.asyncIterator);
  };

const optionalParameters = ['operationName', 'variables', 'extensions'];

/** Returns the query string of a URL without the optional parameters that are empty: they mean nothing. */
const searchOf = (url: string): string => {
  const start = url.indexOf('?');
  if (start === -1) return '';
  const search = new URLSearchParams(url.slice(start));
  for (const name of optionalParameters) {
    // A parameter that is repeated is kept, because Apollo Server refuses it.
    const [value, ...others] = search.getAll(name);
    if (value === '' && others.length === 0) search.delete(name);
  }
  return `?${search.toString()}`;
};

/**
 * Returns the plug-in that chooses the status of an operation that cannot be executed (GraphQL over HTTP,
 * 6.4): 200 for a client that accepts only `application/json`, and 400 for others. Covered are syntax,
 * validation, an unknown operation name, and the types of variables. A limit is 400 for every client.
 */
export const statusByMediaType = <Context extends BaseContext>(): ApolloServerPlugin<Context> => {
  const listener: GraphQLRequestListener<Context> = {
    willSendResponse: async ({ request, response, errors }) => {
      if (response.http.status !== 400 || errors?.every(isFaultOfOperation) !== true) return;
      if (!acceptsGraphqlResponse(request.http?.headers.get('accept'))) response.http.status = 200;
    },
  };
  return { requestDidStart: async () => listener };
};

const isFaultOfOperation = ({ message, nodes, extensions }: GraphQLError): boolean => {
  switch (extensions['code']) {
    case ApolloServerErrorCode.GRAPHQL_PARSE_FAILED:
      return !message.startsWith('Syntax Error: Document contains more');
    case ApolloServerErrorCode.GRAPHQL_VALIDATION_FAILED:
      // Apollo Server gives this code to operations that it refuses although they are valid.
      return extensions['validationErrorCode'] === undefined && !message.startsWith('Too many validation');
    case ApolloServerErrorCode.OPERATION_RESOLUTION_FAILURE:
      return true;
    default:
      return (
        extensions['code'] === ApolloServerErrorCode.BAD_USER_INPUT &&
        nodes?.[0]?.kind === Kind.VARIABLE_DEFINITION
      );
  }
};

/** Returns true if an `Accept` header, which may be absent, accepts `application/graphql-response+json`. */
const acceptsGraphqlResponse = (header: string | undefined): boolean => {
  if (header === undefined) return true;
  const weights = new Map<string, number>();
  for (const item of header.split(',')) {
    const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    weights.set(type, weight === undefined ? 1 : Number(weight));
  }
  const names = ['application/graphql-response+json', 'application/*', '*/*'];
  const name = names.find((candidate) => weights.has(candidate));
  return name !== undefined && weights.get(name) !== 0;
};
