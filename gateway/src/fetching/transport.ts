import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { Client, Pool, type Dispatcher } from 'undici';
import { acceptedEncodings, readText } from './decoding.js';

/** An HTTP response that was read whole. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly text: string;
}

/** Sends POST requests to one URL over kept-alive connections. */
export interface Transport {
  /**
   * Rejects if there is no complete response, if its encoding is not supported, or if it has more bytes than
   * the limit, before or after decompression. A query whose kept-alive connection the subgraph closed at the
   * same moment, before any byte of the response, is sent again at once, with headers for that time; once.
   */
  send(request: {
    body: string;
    headers: () => Record<string, string>;
    isQuery: boolean;
    signal: AbortSignal;
  }): Promise<HttpResponse>;
  /** Waits for the requests under way, then closes the connections. */
  close(): Promise<void>;
}

const connectTimeoutMs = 5_000;

/**
 * How long a connection is kept idle if the subgraph does not say how long it keeps it (`Keep-Alive`).
 * Shorter than the common limits of servers, which start at five seconds.
 */
const idleQueriesMs = 4_000;

/**
 * The same limit for mutations, which cannot be sent again if the subgraph closes the connection meanwhile.
 * Under load, connections are still reused.
 */
const idleMutationsMs = 10;

/** Opens the connections to `url` when they are needed, at most `maxConnections` for each kind of request. */
export const createTransport = (options: {
  url: URL;
  maxResponseBytes: number;
  maxConnections: number;
}): Transport => {
  const { url, maxResponseBytes, maxConnections } = options;
  const path = url.pathname + url.search;
  const clientOptions: Client.Options = {
    connect: { timeout: connectTimeoutMs },
    // The request's deadline limits these two; undici's timers would only add a second, coarser limit.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: maxResponseBytes,
  };
  const openPool = (keepAliveTimeout: number) =>
    new Pool(url.origin, { ...clientOptions, connections: maxConnections, keepAliveTimeout });
  const queries = openPool(idleQueriesMs);
  const mutations = openPool(idleMutationsMs);

  return {
    send: async ({ body, headers, isQuery, signal }) => {
      const sendOver = async (dispatcher: Dispatcher, bytes: Buffer): Promise<HttpResponse> => {
        const response = await dispatcher.request({
          method: 'POST',
          path,
          headers: { ...headers(), 'accept-encoding': acceptedEncodings },
          body: bytes,
          signal,
        });
        const text = await readText(response.body, response.headers['content-encoding'], maxResponseBytes);
        return { status: response.statusCode, headers: response.headers, text };
      };
      const bytes = Buffer.from(body);
      try {
        return await sendOver(isQuery ? queries : mutations, bytes);
      } catch (error) {
        if (!isQuery || signal.aborted || !wasClosedWhileIdle(bytes)) throw error;
        // A connection of the pool might be closed as well.
        const client = new Client(url.origin, clientOptions);
        try {
          return await sendOver(client, bytes);
        } finally {
          void client.destroy();
        }
      }
    },
    close: async () => {
      await Promise.all([queries.close(), mutations.close()]);
    },
  };
};

/** For the body of each request that was sent: its connection, and the bytes received on it until then. */
const sentOn = new WeakMap<object, { socket: Socket; receivedBefore: number }>();

subscribe('undici:client:sendHeaders', (message) => {
  const { request, socket } = message as { request: { body: unknown }; socket: Socket };
  const { body } = request;
  if (Buffer.isBuffer(body)) sentOn.set(body, { socket, receivedBefore: socket.bytesRead });
});

/** Returns true if a failed request was sent on a used connection and no byte of its response arrived. */
const wasClosedWhileIdle = (body: Buffer): boolean => {
  const sent = sentOn.get(body);
  return sent !== undefined && sent.receivedBefore > 0 && sent.socket.bytesRead === sent.receivedBefore;
};
