import type { FastifyReply } from 'fastify';

/** Adds request headers on which the response depends to `Vary`, each once. */
export const addVary = (reply: FastifyReply, names: readonly string[]): void => {
  const listed = String(reply.getHeader('vary') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!listed.some((known) => known.toLowerCase() === name.toLowerCase())) listed.push(name);
  }
  reply.header('vary', listed.join(', '));
};
