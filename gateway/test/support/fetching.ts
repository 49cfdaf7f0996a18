import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '@cinegraph/service/clock';
import type { Viewer } from '@cinegraph/service/viewer';
import { afterEach } from '@jest/globals';
import { buildConnector } from 'undici';
import { createSubgraphClient } from '../../src/fetching/client.js';
import { AbortableLimit } from '../../src/request/context.js';
import { createTestLog } from './world.js';

/** One request that the subgraph received. */
export interface ReceivedRequest {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>> & {
    readonly representations?: readonly { id: string }[];
  };
  readonly headers: IncomingHttpHeaders;
}

/** Starts a subgraph that responds with `answer`, and opens a client of it. */
export const startClient = async (
  answer: (request: ReceivedRequest, response: ServerResponse) => void,
  options: { coalesces?: boolean; isSigned?: boolean; clock?: Clock } = {},
) => {
  const received: ReceivedRequest[] = [];
  const read = async (
    bytes: AsyncIterable<Buffer>,
    headers: IncomingHttpHeaders,
    response: ServerResponse,
  ) => {
    const chunks: Buffer[] = [];
    for await (const chunk of bytes) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Omit<ReceivedRequest, 'headers'>;
    const request = { ...body, headers };
    received.push(request);
    answer(request, response);
  };
  const server = createServer((request, response) => void read(request, request.headers, response));
  const listen = async (port: number): Promise<number> => {
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const { lines, logger } = createTestLog();
  const client = createSubgraphClient({
    name: 'scores',
    url: `http://127.0.0.1:${port}/graphql`,
    connect: buildConnector({}),
    logger,
    clock: options.clock ?? systemClock,
    ...(options.isSigned !== false && { sign: (viewer: Viewer) => viewer?.id ?? 'nobody' }),
    forwardHeaders: ['authorization', 'a', 'b'],
    coalesces: options.coalesces ?? true,
    returnHeaders: [],
  });
  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    client,
    received,
    log: lines,
    /** Ends the subgraph, so that connections are refused. */
    close,
    restart: () => listen(port),
    stop: async () => {
      if (server.listening) await close();
      await client.close();
    },
  };
};

/** A client with the subgraph that responds to it. */
export type StartedClient = Awaited<ReturnType<typeof startClient>>;

/** Returns `startClient`, for one client in each test, which is stopped after the test. */
export const useClient = (): typeof startClient => {
  let started: StartedClient | undefined;
  afterEach(async () => {
    await started?.stop();
    started = undefined;
  });
  return async (...args) => {
    started = await startClient(...args);
    return started;
  };
};

/** Someone who asks, with ten seconds of time. */
export const askerOf = (
  id?: string,
  forwarded: Readonly<Record<string, string>> = {},
  scopes: readonly string[] = [],
): { viewer: Viewer; forwarded: Readonly<Record<string, string>>; deadline: AbortableLimit } => ({
  viewer: id === undefined ? null : { id, scopes },
  forwarded,
  deadline: new AbortableLimit(performance.now() + 10_000),
});

/** A query of root fields, for `{"data":…}`. */
export const rootQuery = { kind: 'query', query: '"{best}"', variables: '' } as const;

/** A mutation. */
export const mutation = { kind: 'mutation', query: '"mutation{reset}"', variables: '' } as const;

/** A query of the entities with these ids. */
export const entityQuery = (...ids: readonly string[]) => ({
  kind: 'query' as const,
  query: '"query($representations:[_Any!]!){_entities(representations:$representations){score}}"',
  variables: '',
  representations: ids.map((id) => JSON.stringify({ __typename: 'Thing', id })),
});

/** Returns the ids of the entities that a request asks for. */
export const idsOf = ({ variables }: ReceivedRequest): string[] =>
  (variables.representations ?? []).map(({ id }) => id);

/** Answers a query of entities: the score of each is its id. */
export const scores = (request: ReceivedRequest) => ({
  data: { _entities: idsOf(request).map((id) => ({ score: Number(id) })) },
});

/** Responds with JSON. */
export const sendJson = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};
