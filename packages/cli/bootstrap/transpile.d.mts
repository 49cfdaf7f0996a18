export declare const transpile: (root: string, folders: readonly string[]) => Promise<void>;
