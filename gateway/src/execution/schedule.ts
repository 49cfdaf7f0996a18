import type { FetchStep, ScheduledFetch, Step } from './compile.js';
import { noteCompanions } from './companions.js';
import type { FetchedField } from './merge.js';

/**
 * Returns the fetches of a query's plan with those that each of them needs, so that a fetch starts when its
 * inputs are there. The planner's steps only say that one set of fetches comes after another one; of these, a
 * fetch needs those that bring objects on its path or fields of its representation.
 */
export const schedule = (root: Step): Step => {
  const fetches: ScheduledFetch[] = [];
  /** By path, and by the fetches that bring the objects on it. */
  const searches = new Map<string, FetchStep[]>();
  /** By what they wait for, and by subgraph. */
  const together = new Map<string, Map<FetchStep['client'], FetchStep[]>>();
  /** Adds the fetches of a step, which come after those of `before`, and returns their indexes. */
  const add = (step: Step, before: readonly number[]): number[] => {
    if (step.kind === 'fetch') {
      const inputs = before.filter((index) => {
        const earlier = fetches[index];
        return earlier !== undefined && isNeeded(earlier.step, step);
      });
      const bringers = inputs.filter((index) => isAbove(fetches[index]?.step, step));
      const search = `${step.path.join('.')} ${bringers.join()}`;
      if (step.contexts.length === 0) searches.set(search, [...(searches.get(search) ?? []), step]);
      if (step.representation && step.contexts.length === 0) {
        const key = inputs.join();
        const byClient = together.get(key) ?? new Map<FetchStep['client'], FetchStep[]>();
        together.set(key, byClient.set(step.client, [...(byClient.get(step.client) ?? []), step]));
      }
      const current = fetches.length;
      fetches.push({ step, inputs: inputs.length, next: [] });
      for (const index of inputs) fetches[index]?.next.push(current);
      return [current];
    }
    if (step.kind === 'schedule' || step.kind === 'signal')
      throw new Error('a plan is scheduled once, and only without @defer');
    const added: number[] = [];
    for (const one of step.steps) {
      added.push(...add(one, step.kind === 'sequence' ? [...before, ...added] : before));
    }
    return added;
  };
  add(root, []);
  for (const [search, steps] of [...searches.values()].entries()) {
    if (steps.length > 1) for (const step of steps) step.search = search;
  }
  for (const byClient of together.values()) {
    for (const steps of byClient.values()) if (steps.length > 1) noteCompanions(steps);
  }
  const [first] = fetches;
  return first && fetches.length === 1 ? first.step : { kind: 'schedule', fetches };
};

/** Returns true if a fetch needs what an earlier one brings. */
const isNeeded = (earlier: FetchStep, later: FetchStep): boolean => {
  // The values of contexts may stand anywhere above the objects.
  if (later.contexts.length > 0) return true;
  const from = namesOf(earlier);
  const to = namesOf(later);
  const shared = Math.min(from.length, to.length);
  for (let index = 0; index < shared; index += 1) if (from[index] !== to[index]) return false;
  if (from.length > to.length) return later.required.includes(from[to.length] ?? '');
  if (from.length === to.length) return hasAny(earlier.fields, later.required);
  return hasAny(earlier.fields, [to[from.length] ?? '']);
};

/** Returns true if a fetch that another one needs is about objects above the other's. */
const isAbove = (earlier: FetchStep | undefined, later: FetchStep): boolean =>
  earlier !== undefined && namesOf(earlier).length < namesOf(later).length;

/** The path of a fetch without its lists. */
const namesOf = ({ path }: FetchStep): readonly string[] =>
  path.flatMap((step) => (typeof step === 'string' && step !== '@' ? [step] : []));

const hasAny = (fields: readonly FetchedField[], names: readonly string[]): boolean =>
  fields.some(({ name }) => names.includes(name));
