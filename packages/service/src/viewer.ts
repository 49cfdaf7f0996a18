import { refusalCode, Refusal } from './refusal.js';

/** Who is asking; `null` is nobody. */
export type Viewer = { readonly id: string } | null;

/** The id of who asks; nobody is refused with UNAUTHENTICATED. */
export const viewerIdOf = ({ viewer }: { readonly viewer: Viewer }): string => {
  if (viewer) return viewer.id;
  throw new Refusal(refusalCode.unauthenticated, 'This needs a viewer. Sign in and ask again.');
};

/** The development header by which a client says who it is. Only a gateway outside production reads it. */
export const developmentViewerHeader = 'x-viewer-id';

/** What a viewer's id may look like: printable ASCII without spaces, at most 128 characters. */
export const isViewerId = (id: string): boolean => /^[\x21-\x7e]{1,128}$/.test(id);
