import { readFileSync } from 'node:fs';
import { createRequire, Module } from 'node:module';
import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import type * as QueryPlannerPackage from '@apollo/query-planner';

/** One correction of the planner's source. `faulty` stands in it once. */
interface Patch {
  readonly faulty: string;
  readonly corrected: string;
}

/**
 * Corrects `relocateParentsOnMergedIn` of `@apollo/query-planner` 2.14.4. If a fetch is merged into its own
 * parent, the planner made that parent a parent of itself: the descendants of a fetch do not include the
 * fetch. The next walk of the graph did not end. It happens where an interface object has a field that
 * requires one of the interface, and a client selects it in a fragment on a type
 * (tests/federation/interface-objects.test.ts).
 */
const mergedIntoItsParent: Patch = {
  faulty: 'if (parent.group.isDescendantOf(this)) {',
  corrected: 'if (parent.group === this || parent.group.isDescendantOf(this)) {',
};

/**
 * Loads `@apollo/query-planner` with the patches, for this thread. Call it before anything else imports the
 * package. Throws if a patch does not fit the installed version; look then whether that version needs it.
 */
export const loadPatchedPlanner = (): typeof QueryPlannerPackage => {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@apollo/query-planner/dist/buildPlan.js');
  const module = new Module(path);
  module.filename = path;
  require.cache[path] = module;
  const run = compileFunction(
    patched(readFileSync(path, 'utf8'), [mergedIntoItsParent]),
    ['exports', 'require', 'module', '__filename', '__dirname'],
    { filename: path },
  );
  Reflect.apply(run, module.exports, [module.exports, createRequire(path), module, path, dirname(path)]);
  module.loaded = true;
  return require('@apollo/query-planner') as typeof QueryPlannerPackage;
};

/** Returns the source with the patches. Throws if one of them does not fit. */
const patched = (source: string, patches: readonly Patch[]): string =>
  patches.reduce((text, { faulty, corrected }) => {
    const [before, after, ...more] = text.split(faulty);
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(
        `A patch of @apollo/query-planner does not fit its version. Correct patched-planner.ts: "${faulty}"`,
      );
    }
    return before + corrected + after;
  }, source);
