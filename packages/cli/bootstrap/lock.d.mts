export interface LockHolder {
  readonly pid: number;
  readonly purpose: string;
}

export declare const takeLock: (
  path: string,
  purpose: string,
) => Promise<
  | { readonly release: () => void; readonly holder?: undefined }
  | { readonly release?: undefined; readonly holder: LockHolder }
>;

/** Rejects when `signal` is aborted while it waits. */
export declare const waitForLock: (
  path: string,
  purpose: string,
  onWait: (holder: LockHolder) => void,
  signal: AbortSignal,
) => Promise<() => void>;
