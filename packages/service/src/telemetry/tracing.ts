/** What the telemetry of this process offers the rest of it. */
export interface Tracing {
  /** The ids of the span that the caller runs in, as log lines carry them; undefined outside of any. */
  ids(): { readonly trace_id: string; readonly span_id: string } | undefined;
  /** The W3C `traceparent` of the span that the caller runs in; undefined outside of any. */
  traceparent(): string | undefined;
  /** Opens a span below the one that `traceparent` names; undefined when that is none, or is not sampled. */
  openSpan(traceparent: string, name: string, kind: MessageSpanKind): MessageSpan | undefined;
  /** Lower-case names of the headers that are written into each request to another service. */
  readonly headers: readonly string[];
  /** Sends what waits, for a second at most; never throws. */
  stop(): Promise<void>;
}

/** Whether a message is sent or taken in. */
export type MessageSpanKind = 'producer' | 'consumer';

/** The time that one message takes, in the trace of the request that led to it. */
export interface MessageSpan {
  /** Its `traceparent`, to be carried by the message. */
  readonly trace: string;
  /** Runs `work` in it: the spans of what `work` asks for, and its log lines, belong to it. */
  within<Result>(work: () => Result): Result;
  end(outcome?: 'failed'): void;
}

let current: Tracing | undefined;

/** Said once by `telemetry.ts`, before anything else is loaded, when this process is traced. */
export const setTracing = (tracing: Tracing): void => {
  current = tracing;
};

/** The W3C `traceparent` of the span that the caller runs in, to be carried by what this causes; null outside of any. */
export const currentTrace = (): string | null => current?.traceparent() ?? null;

/**
 * Opens a span for one message of many that are handled together; the caller ends it. `trace` is the `traceparent` that
 * the message carries. Undefined, and free, while this process is not traced or the message carries none: a trace begins
 * with a request.
 */
export const openMessageSpan = (
  trace: string | null | undefined,
  name: string,
  kind: MessageSpanKind,
): MessageSpan | undefined => (trace ? current?.openSpan(trace, name, kind) : undefined);

/** Does `work` for one message in a span of its own below `trace`, or in none as {@link openMessageSpan} says. */
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

/** The telemetry of this process, or undefined when it has none. */
export const tracing = (): Tracing | undefined => current;
