import { z } from 'zod';
import { readEnv } from '../env.js';

/** How the fault tests of this run are done: in which form, from which seed, and where their table is written. */
export const readFaultSettings = () =>
  readEnv(
    {
      FAULTS: z.enum(['short', 'long']).default('short'),
      FAULTS_SEED: z.coerce.number().int().optional(),
      FAULTS_RESULTS: z.string().optional(),
    },
    process.env,
  );
