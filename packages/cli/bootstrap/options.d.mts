export interface StartOptions {
  readonly port: number;
  /** Absolute folder of everything that is kept. */
  readonly data: string;
  readonly reset: boolean;
  readonly help: boolean;
}

export declare const startHelp: string;
export declare const takeDataOption: (
  args: readonly string[],
  root: string,
) => { readonly data: string; readonly rest: readonly string[] };
export declare const readStartOptions: (args: readonly string[], root: string) => StartOptions;
