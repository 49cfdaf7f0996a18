import { isDeepStrictEqual } from 'node:util';
import { nothingKnown, type MovieFacts } from './source-movie.js';

/** A movie's facts after a merge, and the names of those that differ from what the tables hold. */
export interface MergedFacts {
  readonly facts: MovieFacts;
  readonly changed: readonly (keyof MovieFacts)[];
}

/**
 * Merges what a source says now (`next`) into a movie (`current`), field by field, knowing what it said last (`last`,
 * undefined the first time): a field that still is as the source left it follows the source; one that people changed since
 * is theirs and stays.
 */
export const mergeFacts = (
  last: Partial<MovieFacts> | undefined,
  current: MovieFacts,
  next: MovieFacts,
): MergedFacts => {
  const before = identityOf({ ...nothingKnown, ...last });
  const now = identityOf(current);
  const wanted = identityOf(next);
  const changed = names.filter(
    (name) => isDeepStrictEqual(now[name], before[name]) && !isDeepStrictEqual(now[name], wanted[name]),
  );
  const taken = Object.fromEntries(changed.map((name) => [name, next[name]])) as Partial<MovieFacts>;
  return { facts: { ...current, ...taken }, changed };
};

const names = Object.keys(nothingKnown) as readonly (keyof MovieFacts)[];

/** What two values of a field are compared by: people and genres by their ids, sets in one order. */
const identityOf = (facts: MovieFacts): Readonly<Record<keyof MovieFacts, unknown>> => ({
  ...facts,
  languages: facts.languages.toSorted(),
  genres: facts.genres.map(({ id }) => id).toSorted(),
  directors: facts.directors.map(({ id }) => id),
  cast: facts.cast.map(({ person, character }) => [person.id, character]),
  externalIds: facts.externalIds.map(({ source, value }) => `${source}:${value}`).toSorted(),
});
