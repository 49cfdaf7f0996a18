import type { ScheduledFetch, FetchStep, Step } from './compile.js';
import { fetchEntities } from './entities.js';
import { ask, setNull, variablesOf, type Execution } from './execution.js';
import { reportErrors } from './fetch-errors.js';
import { rememberProvided } from './known-entities.js';
import { mergeFetched } from './merge.js';
import { applyRewrites } from './rewrites.js';
import { visitTargets } from './targets.js';

type JsonObject = Record<string, unknown>;

/** Executes a compiled plan, and merges what its fetches bring into `execution.data`. Never rejects. */
export const executeStep = (step: Step, execution: Execution): Promise<void> => {
  switch (step.kind) {
    case 'fetch':
      return step.representation
        ? fetchEntities(step, step.representation, execution)
        : fetchRoot(step, execution);
    case 'schedule':
      return executeSchedule(step.fetches, execution);
    case 'sequence':
      return executeInOrder(step.steps, execution);
    case 'parallel':
      return Promise.all(step.steps.map((one) => executeStep(one, execution))).then(nothing);
    case 'signal':
      return Promise.resolve(execution.signal?.(step.id));
  }
};

const nothing = (): void => undefined;
const executeInOrder = async (steps: readonly Step[], execution: Execution): Promise<void> => {
  for (const step of steps) await executeStep(step, execution);
};

/** Starts each fetch as soon as those that it needs have ended. */
const executeSchedule = (fetches: readonly ScheduledFetch[], execution: Execution): Promise<void> =>
  new Promise((resolve, reject) => {
    const waiting = fetches.map(({ inputs }) => inputs);
    let open = fetches.length;
    const start = ({ step, next }: ScheduledFetch): void => {
      executeStep(step, execution).then(() => {
        open -= 1;
        if (open === 0) resolve();
        for (const index of next) {
          const left = (waiting[index] ?? 0) - 1;
          waiting[index] = left;
          const following = fetches[index];
          if (left === 0 && following) start(following);
        }
      }, reject);
    };
    for (const fetch of fetches) if (fetch.inputs === 0) start(fetch);
  });

const fetchRoot = async (step: FetchStep, execution: Execution): Promise<void> => {
  const targets: JsonObject[] = [];
  visitTargets(execution.data, step.path, execution.shared, (object) => void targets.push(object));
  if (targets.length === 0) return;
  const { operation, query, unnamed } = step;
  const request = { kind: operation, query, unnamed, variables: variablesOf(step, execution) };
  const result = await ask(step, request, execution, { objects: targets.length, known: 0 });
  const { data } = result;
  if (data && step.outputRewrites) applyRewrites(step.outputRewrites, data, execution.types);
  for (const target of targets) {
    if (data) mergeFetched(target, data, step.fields, execution.types);
    else setNull(target, step.fields);
  }
  if (result.errors.length > 0 || result.failure) {
    reportErrors(
      step,
      result,
      execution,
      (path) =>
        path.length === 0 ? [] : targets.map((target) => ({ target, path, isNull: data === undefined })),
      targets,
    );
  } else for (const target of targets) rememberProvided(step, target, execution);
};
