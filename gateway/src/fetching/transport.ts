import { subscribe } from 'node:diagnostics_channel';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { Client, Pool, type Dispatcher } from 'undici';
import type { TimeLimit } from '../request/context.js';
import { acceptedEncodings, createDecoder, type Decoder } from './decoding.js';
import type { Connect } from './tls.js';

/** An HTTP response that was read whole. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Why there is no complete response. */
export interface TransportFailure {
  readonly error: Error;
  /** True if a part of a response arrived, so that the subgraph may have done what it was asked. */
  readonly hasBegun: boolean;
}

/** One POST request. */
export interface OutgoingRequest {
  readonly body: string;
  /** Returns names and values in turn, for the time at which it is called. */
  readonly headers: () => string[];
  readonly isQuery: boolean;
  readonly deadline: TimeLimit;
}

/** Sends POST requests to one URL over kept-alive connections. */
export interface Transport {
  /**
   * Never rejects. It is a failure if there is no complete response when the request is aborted, if its
   * encoding is not supported, or if it has more bytes than the limit, before or after decompression. A query
   * whose kept-alive connection the subgraph closed at the same moment, before any byte of the response, is
   * sent again at once, with headers for that time; once.
   */
  send(request: OutgoingRequest): Promise<HttpResponse | TransportFailure>;
  /** Waits for the requests under way, then closes the connections. */
  close(): Promise<void>;
}

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
  connect: Connect;
}): Transport => {
  const { url, maxResponseBytes, maxConnections, connect } = options;
  const path = url.pathname + url.search;
  const clientOptions: Client.Options = {
    connect,
    // The request's deadline limits these two; undici's timers would only add a second, coarser limit.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: maxResponseBytes,
  };
  const openPool = (keepAliveTimeout: number) =>
    new Pool(url.origin, { ...clientOptions, connections: maxConnections, keepAliveTimeout });
  const queries = openPool(idleQueriesMs);
  const mutations = openPool(idleMutationsMs);

  const sendOver = (dispatcher: Dispatcher, bytes: Buffer, request: OutgoingRequest) =>
    new Promise<HttpResponse | TransportFailure>((resolve) => {
      const headers = request.headers();
      headers.push('accept-encoding', acceptedEncodings);
      dispatcher.dispatch(
        { method: 'POST', path, headers, body: bytes },
        new ResponseHandler({ bytes, deadline: request.deadline, maxResponseBytes, resolve }),
      );
    });

  return {
    send: async (request) => {
      const { isQuery, deadline } = request;
      const bytes = Buffer.from(request.body);
      const first = await sendOver(isQuery ? queries : mutations, bytes, request);
      const isDone = !('error' in first) || !isQuery || deadline.aborted !== undefined;
      if (isDone || first.hasBegun || !wasReused(bytes)) return first;
      // A connection of the pool might be closed as well.
      const client = new Client(url.origin, clientOptions);
      const second = await sendOver(client, bytes, request);
      void client.destroy();
      return second;
    },
    close: async () => {
      await Promise.all([queries.close(), mutations.close()]);
    },
  };
};

/** What the handler of a response is made of. */
interface HandlerOptions {
  readonly bytes: Buffer;
  readonly deadline: TimeLimit;
  readonly maxResponseBytes: number;
  readonly resolve: (outcome: HttpResponse | TransportFailure) => void;
}

/**
 * Reads one response. Hot: undici's `request` would add a stream, an AbortSignal and their listeners to each
 * fetch.
 */
class ResponseHandler implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | undefined;
  private decoder: Decoder | undefined;
  private status = 0;
  private headers: IncomingHttpHeaders = {};
  private isDone = false;
  private readonly options: HandlerOptions;

  constructor(options: HandlerOptions) {
    this.options = options;
    options.deadline.onAbort(this.abort);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // It was aborted while it waited for a connection.
    if (this.isDone) controller.abort(new Error('aborted'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    this.status = status;
    this.headers = headers;
    this.decoder = createDecoder(headers['content-encoding'], this.options.maxResponseBytes, (result) => {
      if (typeof result === 'string')
        this.finish({ status: this.status, headers: this.headers, text: result });
      else this.fail(result);
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.decoder?.write(chunk);
  }

  onResponseEnd(): void {
    this.decoder?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.controller = undefined;
    this.fail(error);
  }

  private readonly abort = (): void => this.fail(new Error(`aborted: ${this.options.deadline.aborted}`));

  private fail(error: Error): void {
    if (this.isDone) return;
    this.decoder?.destroy();
    this.finish({ error, hasBegun: hasResponseBegun(this.options.bytes) });
    this.controller?.abort(error);
  }

  private finish(outcome: HttpResponse | TransportFailure): void {
    if (this.isDone) return;
    this.isDone = true;
    this.options.deadline.offAbort(this.abort);
    this.options.resolve(outcome);
  }
}

/** The body of a request that may have been sent. Hot: a WeakMap would cost more than the two members. */
interface SentBody extends Buffer {
  sentOn?: Socket;
  /** The bytes that had been received on that connection. */
  receivedBefore?: number;
}

subscribe('undici:client:sendHeaders', (message) => {
  const { request, socket } = message as { request: { body: unknown }; socket: Socket };
  if (!Buffer.isBuffer(request.body)) return;
  const body: SentBody = request.body;
  body.sentOn = socket;
  body.receivedBefore = socket.bytesRead;
});

/** Returns true if bytes arrived on the connection of a request after it was sent. */
const hasResponseBegun = ({ sentOn, receivedBefore = 0 }: SentBody): boolean =>
  sentOn !== undefined && sentOn.bytesRead > receivedBefore;

/** Returns true if a request was sent on a connection that had served another one. */
const wasReused = ({ receivedBefore = 0 }: SentBody): boolean => receivedBefore > 0;
