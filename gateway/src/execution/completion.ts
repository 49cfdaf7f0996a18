import {
  getNullableType,
  isLeafType,
  isListType,
  isNonNullType,
  type GraphQLCompositeType,
  type GraphQLLeafType,
  type GraphQLOutputType,
} from 'graphql';
import { gatewayCode } from '../errors.js';
import { refusalFor } from './access.js';
import type { Execution } from './execution.js';
import type { Faults, PathStep, ResponseError } from './faults.js';
import { JsonOutput } from './json-output.js';
import { leafWriter } from './leaves.js';
import { forgetBelow, type PendingFragment } from './pending.js';

/** What the projection of one response knows and collects. */
export interface Projection {
  /** Undefined if no fetch failed and no subgraph returned an error. */
  readonly faults: Faults | undefined;
  /** The JSON texts of the root fields `__schema` and `__type`, by response name. */
  readonly introspected: Readonly<Record<string, string>>;
  /** The objects and lists that stand in the merged data more than once. */
  readonly shared: ReadonlySet<object> | undefined;
  /** Where they were written, by writer; undefined until one was. */
  written: Map<Write, Map<object, Range>> | undefined;
  /** Where the values are written. */
  readonly output: JsonOutput;
  readonly errors: ResponseError[];
  /** The error of a field that the viewer may not see, without its path. */
  readonly refusal: ResponseError;
  /** The client's path of the value that is being written, up to the current depth. */
  readonly path: PathStep[];
  /** The deferred fragments of the objects that were written; empty without `@defer`. */
  readonly pending: PendingFragment[];
}

/** One for all: a response is written in one go, without a pause for another one. */
const output = new JsonOutput();

/** Creates the projection of what an execution has merged, for the part of the response at a path. */
export const createProjection = (
  { context, faults, shared }: Execution,
  introspected: Projection['introspected'],
  path: readonly PathStep[],
): Projection => {
  // What a null removed may stand there still.
  output.cut(0);
  return {
    faults,
    introspected,
    shared,
    written: undefined,
    output,
    errors: [],
    refusal: refusalFor(context),
    path: [...path],
    pending: [],
  };
};

/** A part of what was written, by its first byte and the one after its last. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Writes one value, which is `container[key]` in the merged data. Returns false for a null that the schema
 * does not accept: the error is reported then, and the parent becomes null, which removes what was written of
 * it.
 */
export type Write = (
  value: unknown,
  container: object,
  key: PathStep,
  projection: Projection,
  depth: number,
) => boolean;

/** How values of one field's type are written. */
export interface Writer {
  readonly write: Write;
  /** Converts a path below such a value from internal response names to the client's. */
  readonly clientPath: (path: readonly PathStep[]) => PathStep[];
}

/** What was asked for beside a field, in the same object of the response. */
export interface Sibling {
  /** The client's path of it, from the object. */
  readonly path: readonly PathStep[];
  /** Whether it stands before the field. */
  readonly isBefore: boolean;
}

/**
 * Compiles how the values of a field are completed (section 6.4.3 of the GraphQL specification): its lists,
 * nulls and leaves.
 */
export const compileCompletion = (
  type: GraphQLOutputType,
  options: {
    /** Compiles its objects. */
    readonly compileNamed: (type: GraphQLCompositeType) => Writer;
    /** Names the field in the log. */
    readonly coordinate: string;
    /**
     * Whether another payload of the response has its objects as well. An object that becomes null by one of
     * its fields is then written without fields, so that clients keep what the other payload has.
     */
    readonly isElsewhere: boolean;
    /** Finds a value below a field of the same object; undefined if the object has no such field. */
    readonly siblingAt: (path: readonly PathStep[]) => Sibling | undefined;
  },
): Writer => {
  const { compileNamed, coordinate, isElsewhere, siblingAt } = options;
  const isNonNull = isNonNullType(type);
  const nullable = getNullableType(type);
  if (isLeafType(nullable)) return compileLeaf(nullable, { isNonNull, coordinate, siblingAt });
  const { write: writeValue, clientPath } = isListType(nullable)
    ? compileList(compileCompletion(nullable.ofType, options))
    : compileNamed(nullable);
  const field = { isNonNull, coordinate, siblingAt, clientPath };
  const nothing = !isElsewhere ? 'null' : isListType(nullable) ? '[]' : '{}';
  const write: Write = (value, container, key, projection, depth) => {
    if (value === null || value === undefined) {
      reportNull(value, container, key, projection, depth, field);
      return !isNonNull && writeInstead('null', projection.output.length, projection);
    }
    const start = projection.output.length;
    const isWritten =
      typeof value === 'object' && projection.shared?.has(value) === true
        ? writeShared(writeValue, value, container, key, projection, depth)
        : writeValue(value, container, key, projection, depth);
    if (isWritten || isNonNull) return isWritten;
    return writeInstead(nothing, start, projection);
  };
  return { write, clientPath };
};

/** Compiles how values of a scalar or an enum are completed. Hot: most values are leaves. */
const compileLeaf = (type: GraphQLLeafType, ofField: Omit<NullableField, 'clientPath'>): Writer => {
  const writeLeaf = leafWriter(type);
  const { isNonNull } = ofField;
  const field = { ...ofField, clientPath };
  return writerOfLeaf((value, container, key, projection, depth) => {
    if (value === null || value === undefined) reportNull(value, container, key, projection, depth, field);
    else if (writeLeaf(value, projection.output)) return true;
    else reportInvalid(projection, depth, `no value of ${type.name}`);
    if (!isNonNull) projection.output.write('null');
    return !isNonNull;
  });
};

/** What is known of a field whose value is null. */
interface NullableField {
  readonly isNonNull: boolean;
  readonly coordinate: string;
  readonly clientPath: Writer['clientPath'];
  readonly siblingAt: (path: readonly PathStep[]) => Sibling | undefined;
}

/** Reports why there is a null: what a fetch or a subgraph failed at, or that it may not be one. */
const reportNull = (
  ...[value, container, key, projection, depth, field]: [...Parameters<Write>, NullableField]
): void => {
  const isAccepted = value === null && !field.isNonNull;
  if (isAccepted && !projection.faults) return;
  const faults = projection.faults?.at(container, key) ?? [];
  const here = projection.path.slice(0, depth + 1);
  for (const { error, rest } of faults) {
    projection.errors.push({ ...error, path: [...here, ...field.clientPath(rest)] });
  }
  if (faults.length > 0) return;
  const beside = projection.faults?.beside(container, key) ?? [];
  for (const { error, path } of beside) {
    const sibling = isNull(container, path[0]) ? field.siblingAt(path) : undefined;
    // The client did not ask for it here, or another fetch filled the field.
    if (!sibling) projection.errors.push({ ...error, path: here });
    // The null of the other field has the error as well, and reports it unless this null removes it.
    else if (!isAccepted && !sibling.isBefore)
      projection.errors.push({ ...error, path: [...here.slice(0, -1), ...sibling.path] });
  }
  if (beside.length === 0 && !isAccepted)
    projection.errors.push(invalidValue(here, `null for ${field.coordinate}`));
};

const isNull = (container: object, key: PathStep | undefined): boolean =>
  key !== undefined && ((container as Record<PathStep, unknown>)[key] ?? null) === null;

/** Writes a text instead of what was written after `start`. */
const writeInstead = (text: string, start: number, projection: Projection): true => {
  const { output } = projection;
  if (output.length > start) {
    output.cut(start);
    // Some of it may be what would be repeated.
    projection.written = undefined;
  }
  output.write(text);
  return true;
};

const compileList = ({ write: writeItem, clientPath }: Writer): Writer => ({
  write: (value, _container, _key, projection, depth) => {
    if (!Array.isArray(value)) return reportInvalid(projection, depth, 'no list');
    const { output } = projection;
    output.write('[');
    for (let index = 0; index < value.length; index += 1) {
      projection.path[depth + 1] = index;
      if (index > 0) output.write(',');
      if (!writeItem(value[index], value, index, projection, depth + 1))
        return forgetBelow(projection, depth);
    }
    output.write(']');
    return true;
  },
  clientPath: ([index, ...rest]) => (index === undefined ? [] : [index, ...clientPath(rest)]),
});

/** Compiles how a field is written that the viewer may not see. */
export const compileRefused = (isNonNull: boolean): Writer =>
  writerOfLeaf((_value, _container, _key, projection, depth) => {
    reportRefused(projection, depth);
    if (!isNonNull) projection.output.write('null');
    return !isNonNull;
  });

/** Returns the writer of a value without fields. */
export const writerOfLeaf = (write: Write): Writer => ({ write, clientPath });

/** A path below a leaf is inside a value of a custom scalar. */
const clientPath: Writer['clientPath'] = (path) => [...path];

/** Writes an object or a list that stands in the merged data more than once; without errors, only once. */
const writeShared = (
  write: Write,
  ...[value, container, key, projection, depth]: [object, object, PathStep, Projection, number]
): boolean => {
  const { output, errors } = projection;
  const known = projection.written?.get(write)?.get(value);
  if (known) {
    output.repeat(known.start, known.end);
    return true;
  }
  const [start, errorsBefore] = [output.length, errors.length];
  if (!write(value, container, key, projection, depth)) return false;
  // The errors of a value have its path, so that it is written again at the next one.
  if (errors.length > errorsBefore) return true;
  const written = (projection.written ??= new Map<Write, Map<object, Range>>());
  const ranges = written.get(write) ?? new Map<object, Range>();
  written.set(write, ranges.set(value, { start, end: output.length }));
  return true;
};

const invalidValue = (path: readonly PathStep[], what: string): ResponseError => ({
  message: 'This field has no value that fits its type.',
  path,
  extensions: { code: gatewayCode.subgraphValueInvalid },
  // A text: a list may hold thousands of such values, and a stack for each would hold up other requests.
  cause: `a subgraph returned ${what}`,
});

/** Reports a value that does not fit its type, and becomes null. */
export const reportInvalid = (projection: Projection, depth: number, what: string): false => {
  projection.errors.push(invalidValue(projection.path.slice(0, depth + 1), what));
  return false;
};

/** Reports what the viewer may not see, and becomes null. */
export const reportRefused = (projection: Projection, depth: number): false => {
  projection.errors.push({ ...projection.refusal, path: projection.path.slice(0, depth + 1) });
  return false;
};
