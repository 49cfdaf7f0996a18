import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';

/**
 * The number of requests that begin in one turn of the event loop. With fewer, an idle gateway would be
 * slower to begin many requests at once; with more, a busy one has more of them under way.
 */
const requestsPerTurn = 8;

interface Waiting {
  readonly request: FastifyRequest;
  readonly sinceMs: number;
  readonly begin: () => void;
}

/**
 * Returns the hook that lets requests of a route begin a few in each turn of the event loop, in the order in
 * which they arrived. While the gateway waits for subgraphs, turns are short, and nothing waits here. While
 * the processor is busy, responses of subgraphs go first: requests under way end sooner, and the others wait
 * where they take little memory. A request whose client has left does not begin.
 *
 * One request of each connection waits. Those that are pipelined after it begin at once, so that one client
 * cannot make the others wait for thousands.
 */
export const addTurns = (
  app: FastifyInstance,
): { takeTurn: onRequestHookHandler; waitedMs: (request: FastifyRequest) => number } => {
  app.decorateRequest('waitedMs', 0);
  const queue: Waiting[] = [];
  const waitingOn = new Set<Socket>();
  /** How many began since the last turn ended. */
  let begun = 0;
  let isTurning = false;

  const endTurn = (): void => {
    const next: Waiting[] = [];
    let taken = 0;
    for (const waiting of queue) {
      if (begun + next.length === requestsPerTurn) break;
      taken += 1;
      const { raw } = waiting.request;
      waitingOn.delete(raw.socket);
      if (!raw.destroyed) next.push(waiting);
    }
    queue.splice(0, taken);
    isTurning = begun > 0 || taken > 0;
    begun = 0;
    if (isTurning) setImmediate(endTurn);
    const now = performance.now();
    for (const { request, sinceMs, begin } of next) {
      request.setDecorator('waitedMs', now - sinceMs);
      begin();
    }
  };

  return {
    takeTurn: (request, _reply, done) => {
      if (!isTurning) {
        isTurning = true;
        setImmediate(endTurn);
      }
      const { socket } = request.raw;
      if (waitingOn.has(socket)) {
        done();
      } else if (begun < requestsPerTurn && queue.length === 0) {
        begun += 1;
        done();
      } else {
        waitingOn.add(socket);
        // Otherwise it would belong to the trace of the request that began the turns. Binding is not cheap.
        const begin = tracing() ? AsyncResource.bind(done) : done;
        queue.push({ request, sinceMs: performance.now(), begin });
      }
    },
    waitedMs: (request) => request.getDecorator<number>('waitedMs'),
  };
};
