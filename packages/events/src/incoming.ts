import { z } from 'zod';

const userId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe('Becomes the viewer `ratings:<user>`.');
const recordId = z
  .union([z.string().min(1).max(128), z.int()])
  .describe(
    'The movie. An id gets the prefix INGEST_ID_PREFIX, unless it has a colon or is a UUID of version 7, as movies created here have.',
  );
const recordType = z.literal('movie');
const value = z
  .number()
  .optional()
  .describe('A score on the scale of INGEST_SCALE. It is ignored in a delete.');
const providerId = z
  .union([z.string().max(128), z.int(), z.null()])
  .optional()
  .describe('Who publishes the rating. It is stored as the provider of the rating.');

/** A rating of an external producer, in camelCase. */
export const camelCaseRating = z
  .object({
    userId,
    recordId,
    recordType,
    value,
    providerId,
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
    provider_id: providerId,
    event_type: z.enum(['submit', 'delete']),
  })
  .describe(
    'A rating of an external producer, in snake_case. It has neither id nor time; its partition and offset stand for both.',
  );
