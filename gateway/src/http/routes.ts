import { Readable } from 'node:stream';
import type { ApolloServer } from '@apollo/server';
import { graphqlHandler } from '@cinegraph/service/http/graphql';
import { requestError } from '@cinegraph/service/http/server';
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { Config } from '../config.js';
import { overloaded } from '../errors.js';
import type { Authenticate } from '../request/authentication.js';
import { exactVariablesOf, keepExactNumbers } from '../request/exact-variables.js';
import type { OpenAccount } from '../request/budget.js';
import { createRequestContext, type PartsBody, type RequestContext } from '../request/context.js';
import { addAccounts, budgetHeaders } from './accounts.js';
import { addCompression } from './compression.js';
import { withEntityTags } from './etag.js';
import { addExplorer } from './explorer.js';
import { addTurns } from './turns.js';

/**
 * Origins that may read responses of a gateway outside production: Apollo's explorer, and pages of this
 * machine.
 */
const developmentOrigins = [
  'https://studio.apollographql.com',
  /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/,
];

/**
 * Adds CORS, compression, `/graphql` and, in development, the explorer to `app`. Apollo Server must have been
 * started.
 */
export const addRoutes = async (
  app: FastifyInstance,
  apollo: ApolloServer<RequestContext>,
  { authenticate, openAccount }: { authenticate: Authenticate; openAccount: OpenAccount },
  config: Pick<
    Config,
    | 'environment'
    | 'corsOrigins'
    | 'deadlineMs'
    | 'forwardHeaders'
    | 'returnHeaders'
    | 'examplesPath'
    | 'demoLogin'
  >,
  schema: () => GraphQLSchema | undefined,
): Promise<void> => {
  const { environment, corsOrigins, deadlineMs, forwardHeaders, returnHeaders } = config;
  const inProduction = environment === 'production';
  const hasExplorer = environment === 'development';
  await app.register(cors, {
    origin: [...corsOrigins, ...(inProduction ? [] : developmentOrigins)],
    methods: ['GET', 'POST'],
    exposedHeaders: [...budgetHeaders, ...returnHeaders],
    maxAge: 3_600,
  });
  addCompression(app);
  keepExactNumbers(app);
  const accountOf = addAccounts(app, openAccount);
  const { takeTurn, waitedMs } = addTurns(app);
  const bodies = new WeakMap<FastifyReply, PartsBody>();
  const handle = graphqlHandler(apollo, async (request, reply) => {
    const remainingMs = deadlineMs - waitedMs(request);
    if (remainingMs <= 0) throw overloaded();
    const found = authenticate(request.raw);
    const caller = found instanceof Promise ? await found : found;
    const context = createRequestContext({
      caller,
      account: accountOf(request, caller.viewer),
      headers: request.headers,
      forwardHeaders,
      deadlineMs: remainingMs,
      exactVariables: exactVariablesOf(request),
      returnHeader: (name, value) => {
        if (!reply.hasHeader(name)) reply.header(name, value);
      },
      sendParts: (body) => bodies.set(reply, body),
    });
    reply.raw.once('close', () => context.deadline.end(reply.raw.writableFinished));
    return context;
  });
  app.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    onRequest: takeTurn,
    handler: withEntityTags(
      async (request, reply) => {
        if (hasExplorer && isPageVisit(request))
          return reply.redirect(`/graphiql${new URL(request.url, 'http://gateway').search}`);
        const response = await handle(request, reply);
        const inParts = bodies.get(reply);
        return inParts ? Readable.from(inParts(String(response))) : response;
      },
      ['Authorization', ...forwardHeaders],
    ),
  });
  app.route({
    method: ['DELETE', 'HEAD', 'PATCH', 'PUT', 'TRACE'],
    url: '/graphql',
    handler: async (_request, reply) =>
      reply
        .status(405)
        .header('allow', 'GET, POST, OPTIONS')
        .send(requestError('BAD_REQUEST', 'Send operations by POST, or queries by GET.')),
  });
  if (hasExplorer) addExplorer(app, { ...config, schema });
};

/** Returns true if a person opened the URL in a browser: no GraphQL client asks for HTML. */
const isPageVisit = ({ method, headers }: FastifyRequest): boolean =>
  method === 'GET' && headers.accept?.includes('text/html') === true;
