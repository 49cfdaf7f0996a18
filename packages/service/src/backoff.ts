/**
 * Returns how many milliseconds to wait after `failures` failures in a row (0 for the first): `firstMs`,
 * doubled with each failure, but at most `longestMs`. A random part of up to one half is subtracted, so that
 * many processes do not retry together.
 */
export const backoffMs = (
  failures: number,
  { firstMs = 100, longestMs = 10_000 }: { readonly firstMs?: number; readonly longestMs?: number } = {},
): number => Math.min(firstMs * 2 ** Math.min(failures, 30), longestMs) * (0.5 + Math.random() / 2);
