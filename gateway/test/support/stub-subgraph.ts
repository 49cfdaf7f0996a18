import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphql, parse } from 'graphql';

/** One request that a stub subgraph was sent. */
export interface SeenRequest {
  readonly query: string;
  readonly variables: Record<string, unknown>;
  readonly headers: IncomingHttpHeaders;
  /** The text of the request. */
  readonly body: string;
}

/** A small real subgraph that remembers what it was asked, and can be told to misbehave. */
export interface StubSubgraph {
  readonly name: string;
  readonly typeDefs: string;
  readonly url: string;
  readonly seen: SeenRequest[];
  /** How many connections were opened to it so far. */
  connections(): number;
  /** From now on answers with this instead of the schema's answer; `undefined` makes it well again. */
  misbehave(answer: ((response: ServerResponse) => void) | undefined): void;
  /** From now on answers with this `Cache-Control`; with none unless told. */
  keep(cacheControl: string | undefined): void;
  stop(): Promise<void>;
  /** Listens again on the same port, if it does not. */
  restart(): Promise<void>;
}

/** What a stub's fields answer, as graphql-tools and @apollo/subgraph take it. */
export type StubResolvers = NonNullable<
  Extract<Parameters<typeof buildSubgraphSchema>[0], { resolvers?: unknown }>['resolvers']
>;

/**
 * Starts a subgraph of the given SDL on a free port of this machine. It answers what its resolvers do, or the
 * text that `answer` returns.
 */
export const startStubSubgraph = async (options: {
  name: string;
  typeDefs: string;
  resolvers: StubResolvers;
  answer?: (request: SeenRequest) => string;
}): Promise<StubSubgraph> => {
  const { name, typeDefs, resolvers, answer: answerTo } = options;
  const schema = buildSubgraphSchema({ typeDefs: parse(typeDefs), resolvers });
  const seen: SeenRequest[] = [];
  let cacheControl: string | undefined;
  let misbehaviour: ((response: ServerResponse) => void) | undefined;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    const { query, variables = {} } = JSON.parse(body) as {
      query: string;
      variables?: Record<string, unknown>;
    };
    const asked = { query, variables, headers: request.headers, body };
    seen.push(asked);
    if (misbehaviour) {
      misbehaviour(response);
      return;
    }
    const text =
      answerTo?.(asked) ??
      JSON.stringify(await graphql({ schema, source: query, variableValues: variables }));
    if (cacheControl !== undefined) response.setHeader('cache-control', cacheControl);
    response.setHeader('content-type', 'application/json').end(text);
  };
  const server = createServer((request, response) => void answer(request, response));
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    name,
    typeDefs,
    url: `http://127.0.0.1:${port}/graphql`,
    seen,
    connections: () => connections,
    misbehave: (answer) => {
      misbehaviour = answer;
    },
    keep: (next) => {
      cacheControl = next;
    },
    stop: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
    restart: async () => {
      if (!server.listening) await listen(port);
    },
  };
};

/** Answers with this body; 200 and JSON unless told otherwise. */
export const answers =
  (body: unknown, status = 200, type = 'application/json') =>
  (response: ServerResponse): void => {
    response
      .writeHead(status, { 'content-type': type })
      .end(typeof body === 'string' ? body : JSON.stringify(body));
  };

/** Takes the request and never answers. */
export const neverAnswers = (): void => undefined;
