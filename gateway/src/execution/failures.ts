import { GraphQLError } from 'graphql';
import type { FetchFailure } from '../request.js';

type Path = (string | number)[];

/** More places than this of one failed fetch are not told: they say the same. */
const maxPlaces = 100;

/**
 * The errors of failed fetches in the client's terms: one for each field that the failed fetch left null in `data`, with
 * its response path. Where null spread upwards (a non-null field), the path ends at the null the client sees.
 */
export const placeFailures = (failures: readonly FetchFailure[], data: unknown): GraphQLError[] =>
  failures.flatMap(({ path, fields, error }) => {
    const found = findNulls(data, path, fields);
    const beforeList = path.indexOf('@');
    const places = found.length > 0 ? found : [path.slice(0, beforeList === -1 ? path.length : beforeList)];
    return places.slice(0, maxPlaces).map(
      (place) =>
        new GraphQLError(error.message, {
          ...(place.length > 0 && { path: place }),
          extensions: error.extensions,
          originalError: error,
        }),
    );
  });

const findNulls = (data: unknown, path: readonly (string | number)[], fields: readonly string[]): Path[] => {
  const missing: Path[] = [];
  const spread: Path[] = [];
  const visit = (value: unknown, depth: number, here: Path): void => {
    if (value === undefined) return;
    if (value === null) {
      spread.push(here);
    } else if (Array.isArray(value)) {
      const next = path[depth] === '@' ? depth + 1 : depth;
      value.forEach((item, index) => visit(item, next, [...here, index]));
    } else if (depth < path.length) {
      const key = path[depth] ?? '';
      visit((value as Record<string | number, unknown>)[key], depth + 1, [...here, key]);
    } else {
      for (const field of fields) {
        if ((value as Record<string, unknown>)[field] === null) missing.push([...here, field]);
      }
    }
  };
  visit(data, 0, []);
  // A null on the way may be as the subgraph meant it; it stands for the failure only when nothing else does.
  return missing.length > 0 ? missing : spread;
};
