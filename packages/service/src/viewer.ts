import { refusalCode, Refusal } from './refusal.js';

/**
 * The viewer who sends a request, with the OAuth scopes that the access token granted; `null` if nobody is
 * signed in.
 */
export type Viewer = { readonly id: string; readonly scopes: readonly string[] } | null;

/** Returns the viewer's id. Throws a refusal with the code UNAUTHENTICATED if there is no viewer. */
export const viewerIdOf = ({ viewer }: { readonly viewer: Viewer }): string => {
  if (viewer) return viewer.id;
  throw new Refusal(refusalCode.unauthenticated, 'This needs a viewer. Sign in and ask again.');
};

/**
 * Returns the viewer's id. Throws a refusal with the code UNAUTHENTICATED if there is no viewer, and with
 * FORBIDDEN if the viewer's token does not have the scope.
 */
export const viewerIdWithScope = (context: { readonly viewer: Viewer }, scope: string): string => {
  const id = viewerIdOf(context);
  if (context.viewer?.scopes.includes(scope)) return id;
  throw new Refusal(refusalCode.forbidden, 'The viewer has not the rights that this needs.');
};

/**
 * Whether the text is a scope of OAuth 2 (RFC 6749): 1 to 128 printable ASCII characters without spaces,
 * quotes and backslashes.
 */
export const isScope = (text: string): boolean => /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(text);

/** Whether the text is a valid viewer id: 1 to 128 printable ASCII characters without spaces. */
export const isViewerId = (id: string): boolean => /^[\x21-\x7e]{1,128}$/.test(id);
