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
