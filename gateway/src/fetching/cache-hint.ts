import { readCacheControl } from '@cinegraph/service/http/cache-control';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** For how many seconds a response may be cached, and by whom. */
export type CacheHint = ReturnType<typeof readCacheControl>;

/**
 * Reads for how long the response to the client may be cached, from the headers of a subgraph's response: the
 * time of its `Cache-Control`, less its `Age`. The time is 0 without `max-age` (so `Expires` alone allows
 * none), with `Vary: *`, with `Pragma: no-cache`, and if `Age` is not readable. A response that sets a cookie
 * is PRIVATE. `must-revalidate` changes nothing, because it concerns the time after that.
 */
export const cacheHintOf = (headers: Headers): CacheHint => {
  if (headers['set-cookie'] !== undefined) return { maxAge: 0, scope: 'PRIVATE' };
  const { maxAge, scope } = readCacheControl(headers['cache-control']);
  const forbidden = listOf(headers['vary']).includes('*') || listOf(headers['pragma']).includes('no-cache');
  return { maxAge: forbidden ? 0 : Math.max(0, maxAge - readAge(headers['age'])), scope };
};

/** Returns the hint for a response that is made of the responses with these two. */
export const strictestHint = (left: CacheHint, right: CacheHint): CacheHint => ({
  maxAge: Math.min(left.maxAge, right.maxAge),
  scope: left.scope === 'PRIVATE' ? 'PRIVATE' : right.scope,
});

const listOf = (header: string | readonly string[] | undefined): string[] =>
  String(header ?? '')
    .split(',')
    .map((item) => item.trim().toLowerCase());

/** Reads the first `Age`, in seconds (RFC 9111, 5.1). */
const readAge = (header: string | readonly string[] | undefined): number => {
  if (header === undefined) return 0;
  const [age = ''] = listOf(header);
  return /^\d+$/.test(age) ? Number(age) : Infinity;
};
