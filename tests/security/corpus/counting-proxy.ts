import { once } from 'node:events';
import { createServer, request, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A proxy between the gateway and one subgraph that counts the requests. */
export interface CountingProxy {
  readonly url: string;
  /** Returns how many requests it has received. */
  readonly count: () => number;
  /** Returns the headers of the last request. */
  readonly lastHeaders: () => IncomingHttpHeaders;
  /** Responds with this instead of the subgraph's response until `undefined` is set. */
  readonly replaceWith: (respond: ((response: ServerResponse) => void) | undefined) => void;
  readonly stop: () => void;
}

/** Starts a proxy on a free port of the loopback address, in front of the subgraph at `target`. */
export const startCountingProxy = async (target: string): Promise<CountingProxy> => {
  let count = 0;
  let lastHeaders: IncomingHttpHeaders = {};
  let replacement: ((response: ServerResponse) => void) | undefined;
  const server = createServer((received, response) => {
    const { method, url = '/', headers } = received;
    if (url.startsWith('/graphql')) {
      count += 1;
      lastHeaders = headers;
      if (replacement) {
        received.resume();
        replacement(response);
        return;
      }
    }
    const sent = request(`${target}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    sent.on('error', () => response.destroy());
    received.pipe(sent);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: () => count,
    lastHeaders: () => lastHeaders,
    replaceWith: (respond) => {
      replacement = respond;
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
};
