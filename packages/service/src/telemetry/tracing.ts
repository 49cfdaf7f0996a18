/** The tracing of this process, as the rest of the process sees it. */
export interface Tracing {
  /** Returns the ids of the active span for a log line, or `undefined` if there is none. */
  ids(): { readonly trace_id: string; readonly span_id: string } | undefined;
  /** Returns the W3C `traceparent` of the active span, or `undefined` if there is none. */
  traceparent(): string | undefined;
  /** Opens a child of the span that `traceparent` names; `undefined` if it is invalid or not sampled. */
  openSpan(traceparent: string, name: string, kind: MessageSpanKind): MessageSpan | undefined;
  /** Runs `work` in a child of the active span, which ends when `work` has ended. */
  inSpan<Result>(
    name: string,
    attributes: Readonly<Record<string, string>>,
    work: () => Promise<Result>,
  ): Promise<Result>;
  /** Lower-case names of the headers that carry the trace to other services. */
  readonly headers: readonly string[];
  /** Sends the spans that are queued, for at most a second. Never rejects. */
  stop(): Promise<void>;
}

/** Whether a span is about publishing or consuming a message. */
export type MessageSpanKind = 'producer' | 'consumer';

/** The span of one message, in the trace of the request that caused it. */
export interface MessageSpan {
  /** The span's `traceparent`, to be sent with the message. */
  readonly trace: string;
  /** Runs `work` with this span active: its log lines and the spans that it causes belong to this one. */
  within<Result>(work: () => Result): Result;
  end(outcome?: 'failed'): void;
}

let current: Tracing | undefined;

/** Sets the tracing of this process. Called once, by `start.ts`, before anything else is loaded. */
export const setTracing = (tracing: Tracing): void => {
  current = tracing;
};

/** Returns the W3C `traceparent` of the active span, to be stored with an event; `null` if there is none. */
export const currentTrace = (): string | null => current?.traceparent() ?? null;

/**
 * Opens a span for one message, which the caller ends. `trace` is the `traceparent` of the message. Returns
 * `undefined` if this process is not traced or the message has no `traceparent`: only a request begins a
 * trace.
 */
export const openMessageSpan = (
  trace: string | null | undefined,
  name: string,
  kind: MessageSpanKind,
): MessageSpan | undefined => (trace ? current?.openSpan(trace, name, kind) : undefined);

/**
 * Runs `work` for one message in a span as {@link openMessageSpan} opens it, or without a span if it opens
 * none.
 */
export const inMessageSpan = async <Result>(
  trace: string | null | undefined,
  name: string,
  kind: MessageSpanKind,
  work: () => Promise<Result>,
): Promise<Result> => {
  const span = openMessageSpan(trace, name, kind);
  if (!span) return work();
  try {
    const result = await span.within(work);
    span.end();
    return result;
  } catch (error) {
    span.end('failed');
    throw error;
  }
};

/** Returns the tracing of this process, or `undefined` if it is not traced. */
export const tracing = (): Tracing | undefined => current;
