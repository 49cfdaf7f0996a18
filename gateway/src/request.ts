import type { IncomingHttpHeaders } from 'node:http';
import { developmentViewerHeader, isViewerId, type Viewer } from '@cinegraph/service/viewer';
import { GraphQLError } from 'graphql';

/** A fetch that brought no usable answer: where in the client's answer its fields belong, and what went wrong. */
export interface FetchFailure {
  /** The response path of the fetch; `@` stands for every item of a list. Empty for a fetch of root fields. */
  readonly path: readonly (string | number)[];
  /** The response names of the fields that the fetch would have brought. */
  readonly fields: readonly string[];
  readonly error: GraphQLError;
}

/** What one client request carries through planning and fetching; Apollo Server's context value. */
export interface RequestContext extends Record<string, unknown> {
  readonly viewer: Viewer;
  /** The client's headers that subgraphs get, lower-case names. */
  readonly forwarded: Readonly<Record<string, string>>;
  /** When the answer is due, by `performance.now()`. */
  readonly dueAtMs: number;
  /** Ends every fetch: at the deadline, or when the client has left a request that ends with it. */
  readonly signal: AbortSignal;
  /** From now on the fetches are for nobody when the client leaves; said of queries, never of mutations. */
  readonly endWithClient: () => void;
  /** Filled while the request is executed. */
  readonly failures: FetchFailure[];
}

/** Whether the answer is made for who asks, or of headers that only this client sent: nobody else may get it. */
export const dependsOnClient = ({ viewer, forwarded }: RequestContext): boolean =>
  viewer !== null || Object.keys(forwarded).length > 0;

/** Why a request's fetches were ended before they were answered. */
export type EndReason = 'deadline' | 'client left';

/**
 * Begins a client request that must be answered within `deadlineMs`. Outside production (`developmentViewers`) the
 * client says in a header who it is; an unusable one is refused with 400. `end` must be called when the connection is
 * done with it: `answered` or not.
 */
export const beginRequest = (options: {
  headers: IncomingHttpHeaders;
  developmentViewers: boolean;
  forwardHeaders: readonly string[];
  deadlineMs: number;
}): { context: RequestContext; end: (answered: boolean) => void } => {
  const { headers, developmentViewers, forwardHeaders, deadlineMs } = options;
  const viewer = developmentViewers ? developmentViewer(headers) : null;
  const forwarded: Record<string, string> = {};
  for (const name of forwardHeaders) {
    const value = headers[name];
    if (value !== undefined) forwarded[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort('deadline' satisfies EndReason), deadlineMs).unref();
  let endsWithClient = false;
  const context: RequestContext = {
    viewer,
    forwarded,
    dueAtMs: performance.now() + deadlineMs,
    signal: ending.signal,
    endWithClient: () => {
      endsWithClient = true;
    },
    failures: [],
  };
  return {
    context,
    end: (answered) => {
      if (answered || endsWithClient) clearTimeout(timer);
      if (!answered && endsWithClient) ending.abort('client left' satisfies EndReason);
    },
  };
};

const developmentViewer = (headers: IncomingHttpHeaders): Viewer => {
  const id = headers[developmentViewerHeader];
  if (id === undefined) return null;
  if (typeof id === 'string' && isViewerId(id)) return { id };
  throw new GraphQLError(
    `The header ${developmentViewerHeader} must be 1 to 128 printable ASCII characters without spaces.`,
    { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } },
  );
};
