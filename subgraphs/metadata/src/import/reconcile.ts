import { isDeepStrictEqual } from 'node:util';
import { nothingKnown, type MovieFacts } from './source-movie.js';

/** A movie's facts after reconciliation, and the names of the facts that differ from the tables. */
export interface ReconciledFacts {
  readonly facts: MovieFacts;
  readonly changed: readonly (keyof MovieFacts)[];
}

/**
 * Reconciles a movie (`current`) with what a source says of it now (`next`), one fact at a time: a three-way
 * merge whose base is what the source said at its last import (`last`, undefined at the first one). A fact
 * that is still as the source left it follows the source. A fact that people changed since stays as it is.
 * External ids are reconciled one by one, because each source of a movie adds its own.
 */
export const reconcileFacts = (
  last: Partial<MovieFacts> | undefined,
  current: MovieFacts,
  next: MovieFacts,
): ReconciledFacts => {
  const lastKeys = factKeysOf({ ...nothingKnown, ...last });
  const currentKeys = factKeysOf(current);
  const nextKeys = factKeysOf(next);
  const changed = names.filter(
    (name) =>
      isDeepStrictEqual(currentKeys[name], lastKeys[name]) &&
      !isDeepStrictEqual(currentKeys[name], nextKeys[name]),
  );
  const taken = Object.fromEntries(changed.map((name) => [name, next[name]])) as Partial<MovieFacts>;
  const facts = { ...current, ...taken };
  const externalIds = changed.includes('externalIds')
    ? undefined
    : reconcileExternalIds(last?.externalIds ?? [], current.externalIds, next.externalIds);
  return externalIds
    ? { facts: { ...facts, externalIds }, changed: [...changed, 'externalIds'] }
    : { facts, changed };
};

/**
 * Returns the external ids after the source added or dropped some; undefined if that changes nothing.
 */
const reconcileExternalIds = (
  last: MovieFacts['externalIds'],
  current: MovieFacts['externalIds'],
  next: MovieFacts['externalIds'],
): MovieFacts['externalIds'] | undefined => {
  const keysOf = (ids: MovieFacts['externalIds']) => new Set(ids.map(externalIdKey));
  const [lastKeys, currentKeys, nextKeys] = [keysOf(last), keysOf(current), keysOf(next)];
  const added = next.filter((id) => !lastKeys.has(externalIdKey(id)) && !currentKeys.has(externalIdKey(id)));
  const isDropped = (key: string) => lastKeys.has(key) && !nextKeys.has(key);
  const kept = current.filter((id) => !isDropped(externalIdKey(id)));
  return added.length === 0 && kept.length === current.length ? undefined : [...kept, ...added];
};

const externalIdKey = ({ source, value }: MovieFacts['externalIds'][number]) => `${source}:${value}`;

const names = Object.keys(nothingKnown) as readonly (keyof MovieFacts)[];

/** Returns what each fact is compared by: people and genres by their ids, and sets in sorted order. */
const factKeysOf = (facts: MovieFacts): Readonly<Record<keyof MovieFacts, unknown>> => ({
  ...facts,
  languages: facts.languages.toSorted(),
  genres: facts.genres.map(({ id }) => id).toSorted(),
  directors: facts.directors.map(({ id }) => id),
  cast: facts.cast.map(({ person, character }) => [person.id, character]),
  externalIds: facts.externalIds.map(externalIdKey).toSorted(),
});
