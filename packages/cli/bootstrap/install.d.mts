/** Installs the packages of package-lock.json if node_modules is missing or stale. */
export declare const ensureInstalled: (
  root: string,
  signal: AbortSignal,
  say: (text: string) => void,
) => Promise<void>;
