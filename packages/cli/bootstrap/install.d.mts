export declare const ensureInstalled: (
  root: string,
  signal: AbortSignal,
  say: (text: string) => void,
) => Promise<void>;
