import { setTimeout as delay } from 'node:timers/promises';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { StartError } from './errors.js';
import type { Logger } from './logger.js';
import type { Part } from './service.js';

/** Parameters of an HTTP server of ours. Sizes in bytes, times in milliseconds. */
export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  /** What `/health/ready` says; it is also unready by itself while draining. */
  readonly readiness: () => Promise<Readiness>;
  readonly maxBodyBytes?: number;
  /** How long `/health/ready` says no before the listener closes, for those who route by it. */
  readonly drainGraceMs?: number;
}

/** Whether requests may come, and the state of each thing it depends on or reports, by name. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

/** An HTTP server whose routes the caller adds to `app` before it is started as a part. */
export interface HttpServer {
  readonly app: FastifyInstance;
  readonly part: Part;
  /** The address it listens on, once started: `http://host:port`. */
  url(): string;
}

const defaultMaxBodyBytes = 1_000_000;

/**
 * The HTTP server that every service of ours has: bounded bodies and times, safe headers, errors as GraphQL answers
 * them, `/health/live` (the process answers) and `/health/ready` (200 or 503 with the checks).
 * Stopping it: readiness falls first, `drainGraceMs` later the listener closes, then requests under way are finished.
 */
export const createHttpServer = (options: HttpOptions): HttpServer => {
  const { host, port, logger, readiness } = options;
  const { maxBodyBytes = defaultMaxBodyBytes, drainGraceMs = 0 } = options;
  let draining = false;
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: 10_000,
    keepAliveTimeout: 65_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    forceCloseConnections: 'idle',
    // A request that comes over a kept-alive connection while we drain is answered, and told to close.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    logger: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
  });

  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
  });
  // A connection whose request was under way when the drain began would stay open, idle, and hold the drain up.
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });

  app.setErrorHandler(async (error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) logger.error({ err: error }, 'unexpected error');
    return reply
      .status(status)
      .type('application/json; charset=utf-8')
      .send(requestError(...describe(status)));
  });
  app.setNotFoundHandler(async (_request, reply) =>
    reply.status(404).send(requestError('NOT_FOUND', 'There is nothing here. The graph is at /graphql.')),
  );

  app.get('/health/live', async () => ({ status: 'live' }));
  app.get('/health/ready', async (_request, reply) => {
    const { ready, checks } = await readiness();
    const status = draining ? 'draining' : ready ? 'ready' : 'unready';
    return reply.status(status === 'ready' ? 200 : 503).send({ status, checks });
  });

  return {
    app,
    url: () => {
      const address = app.server.address();
      if (address === null || typeof address === 'string')
        throw new Error('the HTTP server is not listening');
      return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
    },
    part: {
      name: 'http',
      start: async () => {
        try {
          await app.listen({ host, port });
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error;
          throw new StartError(
            `The service cannot listen on ${host}, port ${port} (${code}). Set PORT to a free one, or to 0 for any.`,
            { cause: error },
          );
        }
      },
      stop: async () => {
        draining = true;
        if (drainGraceMs > 0) await delay(drainGraceMs);
        await app.close();
      },
    },
  };
};

/** The body of an answer to a request that never reached GraphQL. */
export const requestError = (code: string, message: string) => ({
  errors: [{ message, extensions: { code } }],
});

const describe = (status: number): [code: string, message: string] => {
  switch (status) {
    case 413:
      return ['REQUEST_TOO_LARGE', 'The request body is too large. Send less, or in several requests.'];
    case 415:
      return ['UNSUPPORTED_MEDIA_TYPE', 'Send the request as application/json.'];
    default:
      return status < 500
        ? ['BAD_REQUEST', 'The request cannot be read. Send a JSON object with a "query".']
        : ['INTERNAL_SERVER_ERROR', 'Internal error'];
  }
};
