/** The help of each command of the command line, by the command's name. */
export declare const helpOf: Readonly<
  Record<'start' | 'import' | 'ratings' | 'events' | 'kafka' | 'compose', string>
>;
