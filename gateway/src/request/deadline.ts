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

/** Starts the time limit of a request that must be answered within `deadlineMs` milliseconds. */
export const startDeadline = (deadlineMs: number): Deadline => {
  const controller = new AbortController();
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
