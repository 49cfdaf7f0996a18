/** Whether PostgreSQL can store the text: it must not contain U+0000 or an unpaired surrogate. */
export const isStorableText = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();

/** No argument of our schemas is nested deeper. The limit bounds the recursion. */
const maxDepth = 50;

/**
 * Returns the path, such as `a.b.0`, of the first text in a JSON value that cannot be stored, or of a value
 * that is nested more than 50 levels deep. Returns `undefined` if there is none.
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
