import type { Viewer } from '@cinegraph/service/viewer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Account, OpenAccount } from '../request/budget.js';
import { budgetAddress } from '../request/client-address.js';

/** The headers that a page of another origin must be allowed to read. */
export const budgetHeaders: readonly string[] = ['RateLimit', 'RateLimit-Policy', 'Retry-After'];

/**
 * Adds the headers of budgets to each response of `/graphql`, also to one that was refused before GraphQL.
 * Returns the function that opens the account of a request once its viewer is known; it throws RATE_LIMITED
 * if the client has nothing left.
 */
export const addAccounts = (
  app: FastifyInstance,
  open: OpenAccount,
): ((request: FastifyRequest, viewer: Viewer) => Account) => {
  // Not in a WeakMap: V8 keeps its values in a young collection, whether their keys live or not.
  app.decorateRequest('account');
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (request.routeOptions.url !== '/graphql') {
      done();
      return undefined;
    }
    const account = request.getDecorator<Account | undefined>('account') ?? open(null, addressOf(request));
    const settled = account.settle();
    // Fastify waits for it, and answers an error of what follows.
    if (settled instanceof Promise) return settled.then((headers) => void reply.headers(headers));
    reply.headers(settled);
    done();
    return undefined;
  });
  return (request, viewer) => {
    const account = open(viewer, addressOf(request));
    request.setDecorator('account', account);
    account.assertNotExhausted();
    return account;
  };
};

/** Returns the address of the client, or of the last proxy if that has sent something else. */
const addressOf = (request: FastifyRequest): string =>
  budgetAddress(request.ip) ?? budgetAddress(request.socket.remoteAddress ?? '') ?? 'unknown';
