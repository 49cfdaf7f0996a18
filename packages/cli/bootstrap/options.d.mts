export interface StartOptions {
  readonly port: number;
  /** The absolute path of the folder in which all data is kept. */
  readonly data: string;
  readonly reset: boolean;
  /** Whether a changed subgraph is built and started again. */
  readonly watch: boolean;
}

export declare const takeDataOption: (
  args: readonly string[],
  root: string,
) => { readonly data: string; readonly rest: readonly string[] };
export declare const takeOption: (
  args: readonly string[],
  option: string,
  what: string,
) => { readonly value: string | undefined; readonly rest: readonly string[] };
export declare const readStartOptions: (args: readonly string[], root: string) => StartOptions;
