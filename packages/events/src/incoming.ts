import { z } from 'zod';

const userId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe('Becomes the viewer `ratings:<user>`.');
const recordId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe('The movie; INGEST_ID_PREFIX is put before an id without a colon.');
const recordType = z.literal('movie');
const value = z.number().optional().describe('On the scale that INGEST_SCALE names; ignored in a delete.');

/** A rating as others say it in camelCase. */
export const camelCaseRating = z
  .object({
    userId,
    recordId,
    recordType,
    value,
    providerId: z.string().optional(),
    eventType: z.enum(['put', 'delete']),
  })
  .describe(
    'A rating of others, in camelCase. It has neither id nor time: its place in the log stands for both.',
  );

/** A rating as others say it in snake_case. */
export const snakeCaseRating = z
  .object({
    user_id: userId,
    record_id: recordId,
    record_type: recordType,
    value,
    event_type: z.enum(['submit', 'delete']),
  })
  .describe(
    'A rating of others, in snake_case. It has neither id nor time: its place in the log stands for both.',
  );
