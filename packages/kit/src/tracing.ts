/** What the telemetry of this process offers the rest of it. */
export interface Tracing {
  /** The ids of the span that the caller runs in, as log lines carry them; undefined outside of any. */
  ids(): { readonly trace_id: string; readonly span_id: string } | undefined;
  /** Lower-case names of the headers that are written into each request to another service. */
  readonly headers: readonly string[];
  /** Sends what waits, for a second at most; never throws. */
  stop(): Promise<void>;
}

let current: Tracing | undefined;

/** Said once by `telemetry.ts`, before anything else is loaded, when this process is traced. */
export const setTracing = (tracing: Tracing): void => {
  current = tracing;
};

/** The W3C `traceparent` of the span that the caller runs in, to be carried by what this causes; null outside of any. */
export const currentTrace = (): string | null => {
  const ids = current?.ids();
  return ids ? `00-${ids.trace_id}-${ids.span_id}-01` : null;
};

/** The telemetry of this process, or undefined when it has none. */
export const tracing = (): Tracing | undefined => current;
