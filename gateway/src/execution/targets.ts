import type { FetchStep } from './compile.js';
import type { PathStep } from './faults.js';

type JsonObject = Record<string, unknown>;

/**
 * Is called for an object of the merged data; `container[key]` is where it is, absent for the root and for
 * objects with a context.
 */
export type VisitTarget = (object: JsonObject, container?: object, key?: PathStep) => void;

/**
 * Visits the objects at a path of the merged data; nulls on the way are left out. `shared` are the objects
 * and lists that stand in the data more than once: each is searched once. Hot: a list of lists has thousands.
 */
export const visitTargets = (
  data: JsonObject,
  path: FetchStep['path'],
  shared: ReadonlySet<object> | undefined,
  visit: VisitTarget,
): void => {
  const [first] = path;
  if (first === undefined) visit(data);
  else searchTargets(data[first], { path, shared, seen: shared && new Set(), visit }, 1, data, first);
};

const searchTargets = (
  value: unknown,
  search: {
    readonly path: FetchStep['path'];
    readonly shared: ReadonlySet<object> | undefined;
    /** Those that were searched. */
    readonly seen: Set<object> | undefined;
    readonly visit: VisitTarget;
  },
  depth: number,
  container: object,
  key: PathStep,
): void => {
  if (typeof value !== 'object' || value === null) return;
  if (search.shared?.has(value)) {
    if (search.seen?.has(value)) return;
    search.seen?.add(value);
  }
  const step = search.path[depth];
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    const next = step === '@' ? depth + 1 : depth;
    for (let index = 0; index < items.length; index += 1) {
      searchTargets(items[index], search, next, value, index);
    }
  } else if (step === undefined) search.visit(value as JsonObject, container, key);
  else if (step !== '@') searchTargets((value as JsonObject)[step], search, depth + 1, value, step);
};
