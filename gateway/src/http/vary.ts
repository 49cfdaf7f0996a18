import type { FastifyReply } from 'fastify';

/**
 * Creates the function that adds request headers on which a response depends to `Vary`, each once. It
 * remembers the results: all values are the gateway's own, so that there are few of them.
 */
export const varyOn = (names: readonly string[]): ((reply: FastifyReply) => void) => {
  const known = new Map<string, string>();
  return (reply) => {
    const before = String(reply.getHeader('vary') ?? '');
    let after = known.get(before);
    if (after === undefined) {
      after = withNames(before, names);
      known.set(before, after);
    }
    reply.header('vary', after);
  };
};

const withNames = (vary: string, names: readonly string[]): string => {
  const listed = vary
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!listed.some((other) => other.toLowerCase() === name.toLowerCase())) listed.push(name);
  }
  return listed.join(', ');
};
