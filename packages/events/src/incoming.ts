import { z } from 'zod';

const userId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe('Becomes the viewer `ratings:<user>`.');
const recordId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe('The movie. An id without a colon gets the prefix INGEST_ID_PREFIX.');
const recordType = z.literal('movie');
const value = z
  .number()
  .optional()
  .describe('A score on the scale of INGEST_SCALE. It is ignored in a delete.');

/** A rating of an external producer, in camelCase. */
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
    'A rating of an external producer, in camelCase. It has neither id nor time; its partition and offset stand for both.',
  );

/** A rating of an external producer, in snake_case. */
export const snakeCaseRating = z
  .object({
    user_id: userId,
    record_id: recordId,
    record_type: recordType,
    value,
    event_type: z.enum(['submit', 'delete']),
  })
  .describe(
    'A rating of an external producer, in snake_case. It has neither id nor time; its partition and offset stand for both.',
  );
