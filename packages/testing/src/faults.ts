import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';

/** Reads which form of the fault tests runs, and the file to which their table of results is written. */
export const readFaultSettings = () =>
  readEnv(
    {
      FAULTS: z.enum(['short', 'long']).default('short'),
      FAULTS_RESULTS: z.string().optional(),
    },
    process.env,
  );
