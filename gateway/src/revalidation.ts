import { createHash } from 'node:crypto';
import { readCacheControl } from '@cinegraph/service/http/cache-control';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { addVary } from './vary.js';

/**
 * Makes the answers of a GraphQL handler fit for caches at the edge: `Vary` names what they depend on, and an answer to
 * a GET that may be kept has an `ETag`; the request that names it in `If-None-Match` gets 304 without a body. The tag is
 * weak: it stands for the answer before compression, the same in each encoding.
 */
export const revalidated =
  (
    handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
    varyOn: readonly string[],
  ): typeof handler =>
  async (request, reply) => {
    const body = await handler(request, reply);
    addVary(reply, ['Accept', 'Accept-Encoding', ...varyOn]);
    if (request.method !== 'GET' || reply.statusCode !== 200 || typeof body !== 'string') return body;
    const { maxAge, scope } = readCacheControl(String(reply.getHeader('cache-control') ?? ''));
    if (maxAge === 0 || scope === 'PRIVATE') return body;
    const tag = entityTag(String(reply.getHeader('content-type')), body);
    reply.header('etag', tag);
    if (!names(request.headers['if-none-match'], tag)) return body;
    reply.removeHeader('content-length').removeHeader('content-type');
    return reply.status(304).send();
  };

/** Of media type and text: by `Accept` the same text may go out as either of two media types. */
const entityTag = (type: string, body: string): string =>
  `W/"${createHash('sha256').update(type).update('\n').update(body).digest('base64url').slice(0, 27)}"`;

/** Weak comparison (RFC 9110, 13.1.2): a tag is the same with and without `W/`. */
const names = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  (header.trim() === '*' ||
    header.split(',').some((item) => item.trim().replace(/^W\//, '') === tag.slice('W/'.length)));
