import { createHash } from 'node:crypto';
import { readCacheControl } from '@cinegraph/service/http/cache-control';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { varyOn } from './vary.js';

/**
 * Wraps a GraphQL handler for shared caches: `Vary` names the request headers that the response depends on,
 * and a cacheable response to a GET gets an `ETag`. A request with that tag in `If-None-Match` gets 304
 * without a body. The tag is weak because it identifies the response before compression.
 */
export const withEntityTags = (
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  dependsOn: readonly string[],
): typeof handler => {
  const addVary = varyOn(['Accept', 'Accept-Encoding', ...dependsOn]);
  return async (request, reply) => {
    const body = await handler(request, reply);
    addVary(reply);
    if (request.method !== 'GET' || reply.statusCode !== 200) return body;
    if (typeof body !== 'string' && !Buffer.isBuffer(body)) return body;
    const { maxAge, scope } = readCacheControl(String(reply.getHeader('cache-control') ?? ''));
    if (maxAge === 0 || scope === 'PRIVATE') return body;
    const tag = entityTag(String(reply.getHeader('content-type')), body);
    reply.header('etag', tag);
    if (!includesTag(request.headers['if-none-match'], tag)) return body;
    reply.removeHeader('content-length').removeHeader('content-type');
    return reply.status(304).send();
  };
};

/**
 * Returns the tag of a media type and a body: `Accept` decides in which of two media types a body is sent.
 */
const entityTag = (type: string, body: string | Buffer): string =>
  `W/"${createHash('sha256').update(type).update('\n').update(body).digest('base64url').slice(0, 27)}"`;

/** Compares weakly (RFC 9110, 13.1.2): a tag is the same with and without `W/`. */
const includesTag = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  (header.trim() === '*' ||
    header.split(',').some((item) => item.trim().replace(/^W\//, '') === tag.slice('W/'.length)));
