import type { IncomingHttpHeaders } from 'node:http';
import type { Viewer } from '@cinegraph/service/viewer';
import type { Account } from './budget.js';

/** What one client request carries through planning and fetching; also Apollo Server's context value. */
export interface RequestContext extends Record<string, unknown> {
  readonly viewer: Viewer;
  /** The names of the policies of `@policy` that the viewer satisfies. */
  readonly policies: readonly string[];
  /** The client's headers that at least one subgraph receives; names in lower case. */
  readonly forwarded: Readonly<Record<string, string>>;
  readonly deadline: Deadline;
  /** What the request takes from the budgets of its client. */
  readonly account?: Account;
  /** The client's variables with numbers as it wrote them; undefined if the parsed ones are the same. */
  readonly exactVariables: Readonly<Record<string, unknown>> | undefined;
  /** Sets a header of the response to the client, unless an earlier fetch has set it. */
  readonly returnHeader: (name: string, value: string) => void;
  /** Sends a response in parts: `body` returns its chunks, for the first response as JSON text. */
  readonly sendParts: (body: PartsBody) => void;
}

/** Returns the chunks of a response in parts. */
export type PartsBody = (first: string) => AsyncIterable<string>;

/** Why a request's fetches were aborted before they had a response. */
export type AbortReason = 'deadline' | 'client left';

/** The time limit of work for one request or for several. */
export interface TimeLimit {
  /** The time at which the response is due, on the clock of `performance.now()`. */
  readonly dueAtMs: number;
  /** Why the work was aborted: at the deadline, or when the client has left; undefined while it goes on. */
  readonly aborted: AbortReason | undefined;
  /** Calls the listener when the work is aborted, unless `offAbort` removes it before. */
  readonly onAbort: (listener: () => void) => void;
  readonly offAbort: (listener: () => void) => void;
}

/** The time limit of one client request. */
export interface Deadline extends TimeLimit {
  /** Lets the request end when its client leaves. Call it for queries, never for mutations. */
  readonly abortWithClient: () => void;
  /**
   * Ends the time limit when the connection is done with the request; `responded` is false if the client
   * left.
   */
  readonly end: (responded: boolean) => void;
}

/** A time limit that its owner ends with `abort`; further calls of `abort` do nothing. */
export interface AbortableLimit extends TimeLimit {
  dueAtMs: number;
  readonly abort: (reason: AbortReason) => void;
}

/** Creates a time limit. It has no timer: its owner aborts it. */
export const createTimeLimit = (dueAtMs: number): AbortableLimit => {
  // An AbortSignal costs several times as much, and each fetch has a listener.
  const listeners = new Set<() => void>();
  let aborted: AbortReason | undefined;
  return {
    dueAtMs,
    get aborted() {
      return aborted;
    },
    onAbort: (listener) => void listeners.add(listener),
    offAbort: (listener) => void listeners.delete(listener),
    abort: (reason) => {
      if (aborted !== undefined) return;
      aborted = reason;
      for (const listener of listeners) listener();
    },
  };
};

/**
 * Returns true if the response is for this client only: it depends on the viewer or on a forwarded header.
 */
export const dependsOnClient = ({ viewer, forwarded }: RequestContext): boolean =>
  viewer !== null || Object.keys(forwarded).length > 0;

/** Creates the context of a client request and starts its deadline. */
export const createRequestContext = (options: {
  caller: Pick<RequestContext, 'viewer' | 'policies'>;
  headers: IncomingHttpHeaders;
  forwardHeaders: readonly string[];
  deadlineMs: number;
  exactVariables?: RequestContext['exactVariables'];
  returnHeader: RequestContext['returnHeader'];
  sendParts: RequestContext['sendParts'];
}): RequestContext => {
  const { caller, headers, forwardHeaders, deadlineMs, exactVariables } = options;
  const forwarded: Record<string, string> = {};
  for (const name of forwardHeaders) {
    const value = headers[name];
    if (value !== undefined) forwarded[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return {
    viewer: caller.viewer,
    policies: caller.policies,
    forwarded,
    deadline: startDeadline(deadlineMs),
    exactVariables,
    returnHeader: options.returnHeader,
    sendParts: options.sendParts,
  };
};

/** Starts the time limit of a request that must be answered within `deadlineMs` milliseconds. */
const startDeadline = (deadlineMs: number): Deadline => {
  const limit = createTimeLimit(performance.now() + deadlineMs);
  const timer = setTimeout(limit.abort, deadlineMs, 'deadline' satisfies AbortReason).unref();
  let endsWithClient = false;
  return Object.assign(limit, {
    abortWithClient: () => {
      endsWithClient = true;
    },
    end: (responded: boolean) => {
      if (responded || endsWithClient) clearTimeout(timer);
      if (!responded && endsWithClient) limit.abort('client left');
    },
  });
};
