import { STATUS_CODES, type IncomingMessage } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';
import fastify, { type FastifyError, type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { uncachedResponse } from './cache-control.js';
import { trackConnections } from './connections.js';
import { openListenerTls, type TlsFiles } from './tls.js';
import { StartError } from '../start-error.js';
import type { Logger } from '../logger.js';
import type { Part } from '../parts.js';
import type { FileWatch } from '../watch-files.js';

/** Options of an HTTP server. Sizes are in bytes, times in milliseconds. */
export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  /** The certificates; without them the listener has no TLS. */
  readonly tls?: TlsFiles | undefined;
  /** Supplies the body of `/health/ready`. While the server drains, `/health/ready` is 503 in any case. */
  readonly readiness: () => Promise<Readiness>;
  readonly maxBodyBytes?: number;
  /** How long `/health/ready` is 503 before the listener closes, so that load balancers notice. */
  readonly drainGraceMs?: number;
  /**
   * How many proxies are in front of the server and add to `X-Forwarded-For`; 0 by default. The address of a
   * request (`request.ip`) is the one that the first of them has seen. What a client writes before it is
   * ignored, if clients can reach the server only through these proxies.
   */
  readonly trustedProxies?: number;
}

/** Whether the service accepts requests, and the state of each dependency by name. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

/** An HTTP server. The caller adds its routes to `app` before the part is started. */
export interface HttpServer {
  readonly app: FastifyInstance;
  readonly part: Part;
  /**
   * Returns the address it listens on, `http://host:port` or `https://host:port`. Throws before the part is
   * started.
   */
  url(): string;
}

const defaultMaxBodyBytes = 1_000_000;

/** How long a TLS handshake may take. */
const handshakeMs = 10_000;

/**
 * How long the connection of a request that is not HTTP stays open after the response. A client that is still
 * sending would otherwise lose the response with the connection (RFC 9112, 9.6).
 */
const lingerMs = 1_000;

/** Headers of every response. */
const securityHeaders = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

/** Headers of every response over TLS: a browser then uses no plain HTTP for a year. */
const onlySecure = { 'strict-transport-security': 'max-age=31536000' };

/**
 * Creates the HTTP server of a service. It limits the size and duration of requests, forbids caching unless a
 * route sets `Cache-Control`, and sends its own errors in GraphQL's format. It serves `/health/live` (200
 * while the process responds) and `/health/ready` (200 or 503, with the checks).
 *
 * Stopping it makes `/health/ready` 503 first, and closes the listener after `drainGraceMs`. Then it waits
 * for the requests under way and for those that still arrive on open connections; each response closes its
 * connection. A connection without a request is closed after a quarter of a second.
 */
export const createHttpServer = (options: HttpOptions): HttpServer => {
  const { host, port, logger, readiness } = options;
  const { maxBodyBytes = defaultMaxBodyBytes, drainGraceMs = 0, trustedProxies = 0 } = options;
  const tls = options.tls && openListenerTls(options.tls, logger);
  const headers = tls ? { ...securityHeaders, ...onlySecure } : securityHeaders;
  let draining = false;
  const serverOptions = { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 };
  const appOptions = {
    bodyLimit: maxBodyBytes,
    // Fastify trusts no number of proxies, because clients that pass by them could send any address.
    trustProxy: trustedProxies > 0 && ((_address: string, hop: number) => hop < trustedProxies),
    requestTimeout: 10_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: false,
    // A request on a kept-alive connection during the drain is served; its response closes the connection.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    logger: false,
    // These two handle what no route sees: an invalid URL, and bytes that are not HTTP.
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack();
      reply.raw
        .writeHead(400, { 'content-type': 'application/json; charset=utf-8', ...headers })
        .end(JSON.stringify(requestError(...describe(400))));
    },
    clientErrorHandler: (error, socket) => sendClientError(error, socket, headers),
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
  } satisfies FastifyServerOptions;
  const app = tls
    ? // The types differ in the server's type only, which nothing below depends on.
      (fastify({
        ...appOptions,
        https: { ...serverOptions, ...tls.options, handshakeTimeout: handshakeMs },
      }) as unknown as FastifyInstance)
    : fastify({ ...appOptions, http: serverOptions });

  const connections = trackConnections(app.server);
  let certificates: FileWatch | undefined;

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers);
    // Without it, caches may store a 404 or 405 by a heuristic of their own.
    reply.header('cache-control', uncachedResponse);
    if (hasValidHost(request.raw)) {
      done();
      return;
    }
    reply
      .status(400)
      .send(requestError('BAD_REQUEST', 'The header Host must name one host, and may name its port.'));
  });
  // Otherwise a connection that was busy when the drain began would stay open, idle, and block the drain.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining) reply.header('connection', 'close');
    done();
  });

  // Not for each request at other levels: the path is hot (bench graph).
  if (logger.isLevelEnabled('debug')) {
    app.addHook('onResponse', async ({ method, url }, reply) => {
      const [path] = url.split('?');
      const durationMs = Math.round(reply.elapsedTime * 10) / 10;
      logger.debug({ method, path, status: reply.statusCode, durationMs }, 'request');
    });
  }

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

  app.get('/health/live', { exposeHeadRoute: true }, async () => ({ status: 'live' }));
  app.get('/health/ready', { exposeHeadRoute: true }, async (_request, reply) => {
    const { ready, checks } = await readiness();
    const status = draining ? 'draining' : ready ? 'ready' : 'unready';
    return reply.status(status === 'ready' ? 200 : 503).send({ status, checks });
  });

  return {
    app,
    url: () => {
      const address = app.server.address();
      if (address === null || typeof address === 'string')
        throw new Error('The HTTP server is not listening.');
      return `${tls ? 'https' : 'http'}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
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
        if (app.server instanceof TlsServer) certificates = tls?.watch(app.server);
      },
      stop: async () => {
        draining = true;
        await certificates?.stop();
        if (drainGraceMs > 0) await delay(drainGraceMs);
        const closed = app.close();
        await connections.drain();
        await closed;
      },
    },
  };
};

/**
 * Returns true if a request has at most one `Host`, and its value is valid (RFC 9112, 3.2). A request of
 * HTTP/1.0 may have none; Node refuses one of HTTP/1.1.
 */
const hasValidHost = ({ headers: { host }, rawHeaders }: IncomingMessage): boolean => {
  if (host === undefined) return true;
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === 'host') count += 1;
  }
  const [valid, address, port] = hostPattern.exec(host) ?? [];
  return (
    count === 1 &&
    valid !== undefined &&
    (address === undefined || isIPv6(address)) &&
    Number(port ?? 0) <= 65_535
  );
};

/** A host name, an IPv4 address or an IPv6 address in brackets, and a port. */
const hostPattern = /^(?:\[([\da-f:.]+)\]|[\w.~!$&'()*+,;=%-]*)(?::(\d*))?$/i;

const sendClientError = (
  error: NodeJS.ErrnoException,
  socket: Socket,
  headers: Readonly<Record<string, string>>,
): void => {
  // A handshake that failed has no HTTP.
  if (error.code === 'ECONNRESET' || /^ERR_(SSL|TLS)_/.test(error.code ?? '')) {
    socket.destroy();
    return;
  }
  // More bytes of what was refused.
  if (socket.writableEnded) return;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify(requestError(...describe(status)));
  const fields = {
    connection: 'close',
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
  setTimeout(() => socket.destroy(), lingerMs).unref();
};

/** Returns the body of the response to a request that did not reach GraphQL, in GraphQL's format. */
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
