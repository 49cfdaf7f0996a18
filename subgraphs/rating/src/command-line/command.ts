import type { JobTools } from '@cinegraph/subgraph/jobs/run-job';

/** One word behind `npm run ratings --`; ratings.ts lists them all. */
export interface RatingsCommand {
  /** What a person may type and what it does, a line each, as in the overview. */
  readonly usage: string;
  /** Names it in the sentence that says why it stopped, e.g. "the rebuild". */
  readonly what: string;
  /** Answers the exit code, or `'usage'` when the words are none that it knows. */
  run(args: readonly string[], tools: JobTools): Promise<number | 'usage'>;
}
