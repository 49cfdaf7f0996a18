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
 */
export const addTurns = (
  app: FastifyInstance,
): { takeTurn: onRequestHookHandler; waitedMs: (request: FastifyRequest) => number } => {
  app.decorateRequest('waitedMs', 0);
  const queue: Waiting[] = [];
  /** How many began since the last turn ended. */
  let begun = 0;
  let isTurning = false;

  const endTurn = (): void => {
    const now = performance.now();
    let taken = 0;
    for (const { request, sinceMs, begin } of queue) {
      if (begun === requestsPerTurn) break;
      taken += 1;
      if (request.raw.destroyed) continue;
      request.setDecorator('waitedMs', now - sinceMs);
      begun += 1;
      begin();
    }
    queue.splice(0, taken);
    isTurning = begun > 0 || queue.length > 0;
    begun = 0;
    if (isTurning) setImmediate(endTurn);
  };

  return {
    takeTurn: (request, _reply, done) => {
      if (!isTurning) {
        isTurning = true;
        setImmediate(endTurn);
      }
      if (begun < requestsPerTurn && queue.length === 0) {
        begun += 1;
        done();
      } else {
        queue.push({ request, sinceMs: performance.now(), begin: done });
      }
    },
    waitedMs: (request) => request.getDecorator<number>('waitedMs'),
  };
};
