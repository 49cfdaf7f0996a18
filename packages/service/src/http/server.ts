import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { unkeptAnswer } from './cache-control.js';
import { StartError } from '../start-error.js';
import type { Logger } from '../logger.js';
import type { Part } from '../parts.js';

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

/** How long a drain waits for the rest of a request that is still being sent. */
const unfinishedBodyMs = 2_000;

/**
 * The HTTP server that every service of ours has: bounded bodies and times, safe headers, answers that nobody keeps unless
 * they say so, errors as GraphQL answers
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
    // What no route ever sees: a URL that cannot be read, and bytes that are no HTTP.
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack();
      reply.raw
        .writeHead(400, {
          'content-type': 'application/json; charset=utf-8',
          'x-content-type-options': 'nosniff',
        })
        .end(JSON.stringify(requestError(...describe(400))));
    },
    clientErrorHandler: answerClientError,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
  });

  /** Every open connection, and the requests under way on it. */
  const sockets = new Map<Socket, Set<IncomingMessage>>();
  app.server.on('connection', (socket: Socket) => {
    sockets.set(socket, new Set());
    socket.once('close', () => sockets.delete(socket));
  });
  app.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const requests = sockets.get(request.socket);
    requests?.add(request);
    response.once('close', () => requests?.delete(request));
  });

  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    // What does not say that it may be kept is not: caches would keep a 404 or 405 by a rule of thumb of their own.
    reply.header('cache-control', unkeptAnswer);
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
        const closed = app.close();
        // Whoever only holds a connection, or never ends a request, would hold the drain up for ever.
        for (const [socket, requests] of sockets) if (requests.size === 0) socket.destroy();
        const patience = setTimeout(() => {
          for (const [socket, requests] of sockets) {
            if ([...requests].some(({ complete }) => !complete)) socket.destroy();
          }
        }, unfinishedBodyMs).unref();
        await closed;
        clearTimeout(patience);
      },
    },
  };
};

const answerClientError = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify(requestError(...describe(status)));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\nx-content-type-options: nosniff\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
};

/** The body of an answer to a request that never reached GraphQL. */
export const requestError = (code: string, message: string) => ({
  errors: [{ message, extensions: { code } }],
});

const describe = (status: number): [code: string, message: string] => {
  switch (status) {
    case 408:
      return ['REQUEST_TIMEOUT', 'The request took too long to arrive. Send it again.'];
    case 431:
      return ['REQUEST_TOO_LARGE', 'The headers are too large. Send fewer or shorter ones.'];
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
