import { z } from 'zod';
import { readEnv } from '@cinegraph/service/env';

/** How the fault tests of this run are done: in which form, and where their table is written. */
export const readFaultSettings = () =>
  readEnv(
    {
      FAULTS: z.enum(['short', 'long']).default('short'),
      FAULTS_RESULTS: z.string().optional(),
    },
    process.env,
  );
