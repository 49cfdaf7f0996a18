import type { FetchResult } from '../fetching/client.js';
import type { SubgraphError } from '../fetching/response.js';
import type { FetchStep } from './compile.js';
import type { Execution } from './execution.js';
import { createFaults, type Faults, type PathStep, type ResponseError } from './faults.js';
import type { FetchedField } from './merge.js';

type JsonObject = Record<string, unknown>;

/**
 * Assigns the errors of a fetch to the nulls that they caused. `locate` finds the objects that the path of an
 * error is about, and the rest of the path below them; none if the path is not usable. `isNull` says that the
 * subgraph returned null for the whole object, so that the error is why each field of the fetch is null. An
 * error without a usable path belongs to the nulls among the fields of the fetch, or to nothing if there are
 * none.
 */
export const reportErrors = (
  step: FetchStep,
  { data, errors, failure }: FetchResult,
  execution: Execution,
  locate: (
    path: readonly PathStep[],
  ) => readonly { target: JsonObject; path: readonly PathStep[]; isNull: boolean }[],
  targets: readonly JsonObject[],
): void => {
  const faults = (execution.faults ??= createFaults());
  const hasFault = new Set<JsonObject>();
  const withoutPath: ResponseError[] = [];
  for (const error of errors) {
    const converted = ofSubgraph(error, step.subgraph);
    const found = locate(
      (error.path ?? []).map((name) => (typeof name === 'string' ? (step.renamed.get(name) ?? name) : name)),
    );
    if (found.length === 0) withoutPath.push(converted);
    for (const { target, path, isNull } of found) {
      if (!addAtPath(faults, target, path, step.fields, converted)) {
        withoutPath.push(converted);
        continue;
      }
      hasFault.add(target);
      if (isNull && path.length > 0) faults.addBeside(target, step.fields, converted, path);
    }
  }
  if (failure) withoutPath.push({ message: failure.message, extensions: failure.extensions, cause: failure });
  const unexplained = targets.filter((target) => !hasFault.has(target));
  if (data === undefined && withoutPath.length === 0 && unexplained.length > 0 && errors[0])
    withoutPath.push(ofSubgraph(errors[0], step.subgraph));
  for (const error of withoutPath) {
    let isReported = false;
    for (const target of unexplained) {
      for (const { name } of step.fields) {
        if (target[name] !== null) continue;
        // The path of an error may lead below this field.
        if (faults.at(target, name).length === 0) faults.add(target, name, error);
        isReported = true;
      }
    }
    if (!isReported) faults.addWithoutPath(error);
  }
};

/** Returns false if the path does not lead to a null. An empty path is about all fields of the object. */
const addAtPath = (
  faults: Faults,
  target: JsonObject,
  path: readonly PathStep[],
  fields: readonly FetchedField[],
  error: ResponseError,
): boolean => {
  if (path.length === 0) {
    const missing = fields.filter(({ name }) => target[name] === null);
    for (const { name } of missing) faults.add(target, name, error);
    return missing.length > 0;
  }
  let container: object = target;
  let asked: readonly FetchedField[] | undefined = fields;
  for (const [index, key] of path.entries()) {
    const value: unknown = Object.hasOwn(container, key) ? (container as JsonObject)[key] : undefined;
    const field: FetchedField | undefined = asked?.find(({ name }) => name === key);
    if (typeof key === 'string') asked = field?.fields;
    if (value === null || (value === undefined && field)) {
      faults.add(container, key, error, path.slice(index + 1));
      return true;
    }
    if (typeof value !== 'object') return false;
    container = value;
  }
  return false;
};

const ofSubgraph = ({ message, extensions }: SubgraphError, subgraph: string): ResponseError => ({
  message,
  extensions: { ...extensions, serviceName: subgraph },
});
