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

/** Waits for the lock; rejects when `signal` is aborted meanwhile. */
export declare const waitForLock: (
  path: string,
  purpose: string,
  onWait: (holder: LockHolder) => void,
  signal: AbortSignal,
) => Promise<() => void>;
