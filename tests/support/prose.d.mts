export const maxColumns: number;
export const findingsIn: (text: string, options: { words: boolean }) => string[];
export const sourcesIn: (folder: string) => string[];
export const checksWords: (path: string) => boolean;
