import type { FetchDataRewrite } from '@apollo/query-planner';
import type { TypeConditions } from './type-conditions.js';

const fragmentPrefix = '... on ';

/**
 * Applies the planner's rewrites to the representations or to the response of a fetch: a value is set, or a
 * response name is replaced, at a path of field names and type conditions. Changes `data`.
 */
export const applyRewrites = (
  rewrites: readonly FetchDataRewrite[],
  data: unknown,
  types: TypeConditions,
): void => {
  for (const rewrite of rewrites) applyAt(rewrite, 0, data, types);
};

const applyAt = (rewrite: FetchDataRewrite, depth: number, value: unknown, types: TypeConditions): void => {
  if (Array.isArray(value)) {
    for (const item of value) applyAt(rewrite, depth, item, types);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const object = value as Record<string, unknown>;
  const step = rewrite.path[depth];
  if (step === undefined) return;
  if (step.startsWith(fragmentPrefix)) {
    const typename = object['__typename'];
    if (typename === undefined || types.matches(typename, step.slice(fragmentPrefix.length))) {
      applyAt(rewrite, depth + 1, object, types);
    }
  } else if (depth < rewrite.path.length - 1) {
    if (Object.hasOwn(object, step)) applyAt(rewrite, depth + 1, object[step], types);
  } else if (rewrite.kind === 'ValueSetter') {
    object[step] = rewrite.setValueTo;
  } else if (Object.hasOwn(object, step)) {
    object[rewrite.renameKeyTo] = object[step];
    object[step] = undefined;
  }
};
