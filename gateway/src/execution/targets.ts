import type { FetchStep } from './compile.js';
import type { PathStep } from './faults.js';

type JsonObject = Record<string, unknown>;

/** An object of the merged data, and where it is: absent for the root and for objects with a context. */
export interface Target {
  readonly object: JsonObject;
  readonly container?: object;
  readonly key?: PathStep;
}

/**
 * Returns the objects at a path of the merged data; nulls on the way are left out. `shared` are the objects
 * and lists that stand in the data more than once: each is searched once.
 */
export const targetsAt = (
  data: JsonObject,
  path: FetchStep['path'],
  shared: ReadonlySet<object> | undefined,
): readonly Target[] => {
  if (path.length === 0) return [{ object: data }];
  const search = { path, targets: [] as Target[], shared, seen: new Set<object>() };
  const [first = ''] = path;
  collectTargets(data[first], search, 1, data, first);
  return search.targets;
};

const collectTargets = (
  value: unknown,
  search: {
    readonly path: FetchStep['path'];
    readonly targets: Target[];
    readonly shared: ReadonlySet<object> | undefined;
    readonly seen: Set<object>;
  },
  depth: number,
  container: object,
  key: PathStep,
): void => {
  if (typeof value !== 'object' || value === null) return;
  if (search.shared?.has(value)) {
    if (search.seen.has(value)) return;
    search.seen.add(value);
  }
  const step = search.path[depth];
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    const next = step === '@' ? depth + 1 : depth;
    for (let index = 0; index < items.length; index += 1) {
      collectTargets(items[index], search, next, value, index);
    }
  } else if (step === undefined) search.targets.push({ object: value as JsonObject, container, key });
  else if (step !== '@') collectTargets((value as JsonObject)[step], search, depth + 1, value, step);
};
