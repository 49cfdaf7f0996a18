import { GraphQLError } from 'graphql';

/** A step of a response path. */
export type PathStep = string | number;

/** An error of the response that is being made. */
export interface ResponseError {
  readonly message: string;
  readonly path?: readonly PathStep[];
  readonly extensions: Readonly<Record<string, unknown>>;
  /** The error that is logged for it, if it has a cause that clients may not see. */
  readonly cause?: unknown;
}

/** Why a value of the merged data is null. */
interface Fault {
  readonly error: ResponseError;
  /** The path from that value to the field that failed, in internal names; empty for the value itself. */
  readonly rest: readonly PathStep[];
}

interface NamedField {
  readonly name: string;
}

/** Why all fields of a fetch are null for an object: one of them, or something below it, failed. */
interface FaultBeside {
  readonly error: ResponseError;
  /** The path from the object to the field that failed, in internal names. */
  readonly path: readonly PathStep[];
}

/**
 * The faults of one request: errors of subgraphs and failed fetches, each at the value of the merged data
 * that it left null. The projection asks for them where it meets a null, and reports them with the client's
 * path. A fault that it does not meet is about a value that the client did not ask for, or that another fault
 * removed.
 */
export interface Faults {
  /**
   * Adds an error at the value `key` of an object or list. A field has one error: a second one at the same
   * path, of another fetch, is left out.
   */
  add(container: object, key: PathStep, error: ResponseError, rest?: readonly PathStep[]): void;
  /**
   * Adds an error below one of the fields that a fetch asked for, which left an object without all of them.
   * `path` leads from the object to what failed; a second error with the same path is left out.
   */
  addBeside(
    container: object,
    fields: readonly NamedField[],
    error: ResponseError,
    path: readonly PathStep[],
  ): void;
  /** Adds an error that belongs to no value. */
  addWithoutPath(error: ResponseError): void;
  /** Returns the faults at a null. */
  at(container: object, key: PathStep): readonly Fault[];
  /** Returns why a null without faults is one, if other fields of its object failed. */
  beside(container: object, key: PathStep): readonly FaultBeside[];
  /** Returns the errors that belong to no value, each once. */
  withoutPath(): readonly ResponseError[];
}

const none: readonly Fault[] = [];

export const createFaults = (): Faults => {
  const byContainer = new Map<object, Map<PathStep, Fault[]>>();
  const besideByContainer = new Map<object, { fields: readonly NamedField[]; fault: FaultBeside }[]>();
  const withoutPath: ResponseError[] = [];
  return {
    add: (container, key, error, rest = []) => {
      const faults = byContainer.get(container) ?? new Map<PathStep, Fault[]>();
      byContainer.set(container, faults);
      const known = faults.get(key);
      if (!known) faults.set(key, [{ error, rest }]);
      else if (!known.some((fault) => isSamePath(fault.rest, rest))) known.push({ error, rest });
    },
    addBeside: (container, fields, error, path) => {
      const faults = besideByContainer.get(container) ?? [];
      besideByContainer.set(container, faults);
      if (!faults.some(({ fault }) => isSamePath(fault.path, path)))
        faults.push({ fields, fault: { error, path } });
    },
    addWithoutPath: (error) => {
      withoutPath.push(error);
    },
    at: (container, key) => byContainer.get(container)?.get(key) ?? none,
    beside: (container, key) =>
      (besideByContainer.get(container) ?? []).flatMap(({ fields, fault }) =>
        fields.some(({ name }) => name === key) ? fault : [],
      ),
    withoutPath: () => withoutPath.splice(0),
  };
};

const isSamePath = (one: readonly PathStep[], other: readonly PathStep[]): boolean =>
  one.length === other.length && one.every((step, index) => step === other[index]);

/** Converts an error of the response for Apollo Server, which masks and logs it. */
export const toGraphQLError = ({ message, path, extensions, cause }: ResponseError): GraphQLError =>
  new GraphQLError(message, {
    ...(path && { path }),
    extensions,
    ...(cause instanceof Error && { originalError: cause }),
  });
