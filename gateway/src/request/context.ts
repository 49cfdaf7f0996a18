import type { IncomingHttpHeaders } from 'node:http';
import type { Viewer } from '@cinegraph/service/viewer';
import { startDeadline, type Deadline } from './deadline.js';
import { readDevelopmentViewer } from './viewer.js';

/** What one client request carries through planning and fetching; also Apollo Server's context value. */
export interface RequestContext extends Record<string, unknown> {
  readonly viewer: Viewer;
  /** The client's headers that subgraphs receive; names in lower case. */
  readonly forwarded: Readonly<Record<string, string>>;
  readonly deadline: Deadline;
}

/**
 * Returns true if the response is for this client only: it depends on the viewer or on a forwarded header.
 */
export const dependsOnClient = ({ viewer, forwarded }: RequestContext): boolean =>
  viewer !== null || Object.keys(forwarded).length > 0;

/**
 * Creates the context of a client request and starts its deadline. With `developmentViewers` the viewer is
 * read from the development header, and an unusable one is refused with HTTP 400; without it nobody is the
 * viewer.
 */
export const createRequestContext = (options: {
  headers: IncomingHttpHeaders;
  developmentViewers: boolean;
  forwardHeaders: readonly string[];
  deadlineMs: number;
}): RequestContext => {
  const { headers, developmentViewers, forwardHeaders, deadlineMs } = options;
  const viewer = developmentViewers ? readDevelopmentViewer(headers) : null;
  const forwarded: Record<string, string> = {};
  for (const name of forwardHeaders) {
    const value = headers[name];
    if (value !== undefined) forwarded[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return { viewer, forwarded, deadline: startDeadline(deadlineMs) };
};
