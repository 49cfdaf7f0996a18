/** What no text may hold: U+0000 (PostgreSQL cannot store it) and half a surrogate pair (UTF-8 cannot carry it). */
export const isStorableText = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();

/** No argument of ours is nested deeper; what is, would end our own walk through it. */
const maxDepth = 50;

/**
 * Where in a JSON value the first text stands that cannot be stored, or that is nested beyond 50 levels, as `a.b.0`;
 * undefined when there is none.
 */
export const findUnstorableText = (value: unknown, path: string, depth = 0): string | undefined => {
  if (typeof value === 'string') return isStorableText(value) ? undefined : path;
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth >= maxDepth) return path;
  for (const [key, inner] of Object.entries(value)) {
    const found = isStorableText(key)
      ? findUnstorableText(inner, path === '' ? key : `${path}.${key}`, depth + 1)
      : path;
    if (found !== undefined) return found;
  }
  return undefined;
};
