/** What a planning worker gets when it starts. */
export interface WorkerSettings {
  readonly sdl: string;
  /**
   * The processor time in ms that it plans for before its priority, which is below that of other threads,
   * becomes the lowest.
   */
  readonly promptMs: number;
}

/** One operation to plan. Override labels that are not in `labels` are off. */
export interface PlanRequest {
  readonly operation: string;
  readonly labels: readonly string[];
}

/** The first message of a worker: the supergraph is built. */
export interface WorkerReady {
  /** The size of its heap. */
  readonly heapBytes: number;
  /** The folder of its thread in /proc, if the system has one. */
  readonly threadFolder?: string | undefined;
}

/**
 * The reply to one request: the plan as JSON text, or the message of the limit of the planner that the
 * operation exceeds, or the stack of another failure. Receiving text costs a fifth less than receiving a
 * structured clone, and its length is the plan's size.
 */
export type PlanReply =
  { readonly plan: string } | { readonly exceeded: string } | { readonly failure: string };
