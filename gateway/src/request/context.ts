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
  readonly account: Account | undefined;
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
  onAbort(listener: () => void): void;
  offAbort(listener: () => void): void;
}

/**
 * A time limit that its owner ends with `abort`; further calls of `abort` do nothing. It has no timer. Hot:
 * an AbortSignal costs several times as much, and each fetch has a listener.
 */
export class AbortableLimit implements TimeLimit {
  dueAtMs: number;
  aborted: AbortReason | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(dueAtMs: number) {
    this.dueAtMs = dueAtMs;
  }

  onAbort(listener: () => void): void {
    this.listeners.add(listener);
  }

  offAbort(listener: () => void): void {
    this.listeners.delete(listener);
  }

  abort(reason: AbortReason): void {
    if (this.aborted !== undefined) return;
    this.aborted = reason;
    for (const listener of this.listeners) listener();
  }
}

/** The time limit of one client request that must be answered within `deadlineMs` milliseconds. */
export class Deadline extends AbortableLimit {
  private readonly timer: NodeJS.Timeout;
  private endsWithClient = false;

  constructor(deadlineMs: number) {
    super(performance.now() + deadlineMs);
    this.timer = setTimeout(abortAtDeadline, deadlineMs, this).unref();
  }

  /** Lets the request end when its client leaves. Call it for queries, never for mutations. */
  abortWithClient(): void {
    this.endsWithClient = true;
  }

  /**
   * Ends the time limit when the connection is done with the request; `responded` is false if the client
   * left.
   */
  end(responded: boolean): void {
    if (responded || this.endsWithClient) clearTimeout(this.timer);
    if (!responded && this.endsWithClient) this.abort('client left');
  }
}

const abortAtDeadline = (deadline: Deadline): void => deadline.abort('deadline');

/**
 * Returns true if the response is for this client only: it depends on the viewer or on a forwarded header.
 */
export const dependsOnClient = ({ viewer, forwarded }: RequestContext): boolean =>
  viewer !== null || Object.keys(forwarded).length > 0;

/** Creates the context of a client request and starts its deadline. */
export const createRequestContext = (options: {
  caller: Pick<RequestContext, 'viewer' | 'policies'>;
  account?: Account;
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
    deadline: new Deadline(deadlineMs),
    account: options.account,
    exactVariables,
    returnHeader: options.returnHeader,
    sendParts: options.sendParts,
  };
};
