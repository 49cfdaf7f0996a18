import { setMaxListeners } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { developmentViewerHeader, isViewerId, type Viewer } from '@cinegraph/service/viewer';
import { GraphQLError } from 'graphql';

/** What one client request carries through planning and fetching; also Apollo Server's context value. */
export interface RequestContext extends Record<string, unknown> {
  readonly viewer: Viewer;
  /** The client's headers that subgraphs receive; names in lower case. */
  readonly forwarded: Readonly<Record<string, string>>;
  readonly deadline: Deadline;
  /** The client's variables with numbers as it wrote them; undefined if the parsed ones are the same. */
  readonly exactVariables: Readonly<Record<string, unknown>> | undefined;
}

/** Why a request's fetches were aborted before they had a response. */
export type AbortReason = 'deadline' | 'client left';

/** The time limit of one client request. */
export interface Deadline {
  /** The time at which the response is due, on the clock of `performance.now()`. */
  readonly dueAtMs: number;
  /**
   * Aborted with an {@link AbortReason}: at the deadline, or when the client of an abortable request has
   * left.
   */
  readonly signal: AbortSignal;
  /** Lets the request end when its client leaves. Call it for queries, never for mutations. */
  readonly abortWithClient: () => void;
  /**
   * Ends the time limit when the connection is done with the request; `responded` is false if the client
   * left.
   */
  readonly end: (responded: boolean) => void;
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
  exactVariables?: RequestContext['exactVariables'];
}): RequestContext => {
  const { headers, developmentViewers, forwardHeaders, deadlineMs, exactVariables } = options;
  const viewer = developmentViewers ? readDevelopmentViewer(headers) : null;
  const forwarded: Record<string, string> = {};
  for (const name of forwardHeaders) {
    const value = headers[name];
    if (value !== undefined) forwarded[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return { viewer, forwarded, deadline: startDeadline(deadlineMs), exactVariables };
};

/** Starts the time limit of a request that must be answered within `deadlineMs` milliseconds. */
const startDeadline = (deadlineMs: number): Deadline => {
  const controller = new AbortController();
  // Each fetch under way listens, and a request may have hundreds; Node warns of a leak from the eleventh on.
  setMaxListeners(0, controller.signal);
  const timer = setTimeout(() => controller.abort('deadline' satisfies AbortReason), deadlineMs).unref();
  let endsWithClient = false;
  return {
    dueAtMs: performance.now() + deadlineMs,
    signal: controller.signal,
    abortWithClient: () => {
      endsWithClient = true;
    },
    end: (responded) => {
      if (responded || endsWithClient) clearTimeout(timer);
      if (!responded && endsWithClient) controller.abort('client left' satisfies AbortReason);
    },
  };
};

/**
 * Returns the viewer that the development header names, or null if the request has no such header. Call it
 * outside production only. An unusable value is refused with HTTP 400.
 */
const readDevelopmentViewer = (headers: IncomingHttpHeaders): Viewer => {
  const id = headers[developmentViewerHeader];
  if (id === undefined) return null;
  if (typeof id === 'string' && isViewerId(id)) return { id };
  throw new GraphQLError(
    `The header ${developmentViewerHeader} must be 1 to 128 printable ASCII characters without spaces.`,
    { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } },
  );
};
