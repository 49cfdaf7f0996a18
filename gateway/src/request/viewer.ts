import type { IncomingHttpHeaders } from 'node:http';
import { developmentViewerHeader, isViewerId, type Viewer } from '@cinegraph/service/viewer';
import { GraphQLError } from 'graphql';

/**
 * Returns the viewer that the development header names, or null if the request has no such header. Call it
 * outside production only. An unusable value is refused with HTTP 400.
 */
export const readDevelopmentViewer = (headers: IncomingHttpHeaders): Viewer => {
  const id = headers[developmentViewerHeader];
  if (id === undefined) return null;
  if (typeof id === 'string' && isViewerId(id)) return { id };
  throw new GraphQLError(
    `The header ${developmentViewerHeader} must be 1 to 128 printable ASCII characters without spaces.`,
    { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } },
  );
};
