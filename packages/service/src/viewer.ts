import { refusalCode, Refusal } from './refusal.js';

/** The viewer who sends a request; `null` if nobody is signed in. */
export type Viewer = { readonly id: string } | null;

/** Returns the viewer's id. Throws a refusal with the code UNAUTHENTICATED if there is no viewer. */
export const viewerIdOf = ({ viewer }: { readonly viewer: Viewer }): string => {
  if (viewer) return viewer.id;
  throw new Refusal(refusalCode.unauthenticated, 'This needs a viewer. Sign in and ask again.');
};

/** The header with the viewer's id for development. A gateway in production ignores it. */
export const developmentViewerHeader = 'x-viewer-id';

/** Whether the text is a valid viewer id: 1 to 128 printable ASCII characters without spaces. */
export const isViewerId = (id: string): boolean => /^[\x21-\x7e]{1,128}$/.test(id);
