import { z } from 'zod';
import { defineEvent } from './event.js';
import { accounts } from './topics.js';

/** A user deleted the account. Subgraphs that have data of the user remove it. */
export const userDeleted = defineEvent({
  type: 'UserDeleted',
  topic: accounts,
  description:
    'A user deleted the account. Subgraphs that have data of the user remove it. The id is never used again.',
  version: 1,
  schemas: { 1: z.object({ userId: z.uuid().describe('The user, who as a viewer has the same id.') }) },
});
