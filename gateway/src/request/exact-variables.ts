import type { FastifyInstance, FastifyRequest } from 'fastify';
import { mayChange, parseJson } from '../execution/numbers.js';

/** The texts of request bodies with numbers that JavaScript would write in another way. */
const texts = new WeakMap<object, string>();

/** Replaces the JSON parser of `app` by one that remembers such texts until the request is done. */
export const keepExactNumbers = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text: string, done) => {
    void parse(request, text, (error, body: unknown) => {
      if (typeof body === 'object' && body !== null && mayChange(text)) texts.set(body, text);
      done(error, body);
    });
  });
};

/**
 * Returns the variables of a request with numbers as the client wrote them, for subgraphs to receive.
 * Undefined if they are the same as the parsed ones.
 */
export const exactVariablesOf = ({
  body,
  method,
  url,
}: FastifyRequest): Readonly<Record<string, unknown>> | undefined => {
  const text = typeof body === 'object' && body !== null ? texts.get(body) : undefined;
  if (text !== undefined) return asObject(asObject(parseJson(text))?.['variables']);
  if (method !== 'GET') return undefined;
  const start = url.indexOf('?');
  const inUrl = new URLSearchParams(start === -1 ? '' : url.slice(start)).get('variables');
  try {
    return inUrl !== null && mayChange(inUrl) ? asObject(parseJson(inUrl)) : undefined;
  } catch {
    // Apollo Server refuses it.
    return undefined;
  }
};

const asObject = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
