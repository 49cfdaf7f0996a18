/** Generates and transpiles what is stale; prints nothing if there is none. */
export declare const ensureBuilt: (
  root: string,
  signal: AbortSignal,
  say: (text: string) => void,
) => Promise<void>;
export declare const stateOfSources: (root: string, paths: readonly string[]) => string;
