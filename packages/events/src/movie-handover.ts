import { z } from 'zod';

/** The state of a movie in metadata. `version` is higher with each change of the movie. */
const movieEntry = z.object({
  movie: z.string(),
  version: z.int(),
  deleted: z.boolean(),
  /** The movie that it is joined into; left out if it is not joined. */
  joinedInto: z.string().optional(),
});

/** Another name of a movie, `<source>:<value>`, and the id under which metadata knows the movie. */
const aliasEntry = z.object({ alias: z.string(), movie: z.string() });

/**
 * Describes one line of the hand-over file of an import run. metadata's importers write the file after they
 * imported movies. rating's importers read it, and so know every movie without waiting for its event.
 */
export const movieHandoverEntry = z.union([movieEntry, aliasEntry]);

/** One line of the hand-over file: the state of a movie, or another name of a movie. */
export type MovieHandoverEntry = z.infer<typeof movieHandoverEntry>;
