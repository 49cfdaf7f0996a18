import { GraphQLError, Kind, parse, type SelectionSetNode } from 'graphql';

type Path = (string | number)[];

/**
 * A fetch without a usable response, or with an error that names no field: where in the client's response its
 * fields belong, and what went wrong.
 */
export interface FetchFailure {
  /** The response path of the fetch; `@` stands for each item of a list. Empty for a fetch of root fields. */
  readonly path: readonly (string | number)[];
  /**
   * The response names of the fields that the fetch would have returned; undefined if it returned all of
   * them.
   */
  readonly fields: readonly string[] | undefined;
  readonly error: GraphQLError;
}

/**
 * Maximum number of errors reported for one failed fetch; more of them would only repeat the same message.
 */
const maxErrorsPerFailure = 100;

/**
 * Returns the errors of failed fetches with the client's response paths: one for each field that a failed
 * fetch left null in `data`. Where null spread upwards through a non-null field, the path ends at the null
 * that the client sees.
 *
 * Only the stock executor needs this: it drops the errors of a data source, so that the error goes from the
 * client of a subgraph past the executor into a list of the request, and is assigned to the nulls of the
 * response afterwards.
 */
export const errorsOfFailures = (failures: readonly FetchFailure[], data: unknown): GraphQLError[] =>
  failures.flatMap(({ path, fields, error }) => {
    const found = fields ? findNulls(data, path, fields) : [];
    const beforeList = path.indexOf('@');
    const fetchPath = fields ? path.slice(0, beforeList === -1 ? path.length : beforeList) : [];
    const paths = found.length > 0 ? found : [fetchPath];
    return paths.slice(0, maxErrorsPerFailure).map(
      (clientPath) =>
        new GraphQLError(error.message, {
          ...(clientPath.length > 0 && { path: clientPath }),
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
  // A null above the fields may be what the subgraph returned; it stands for the failure only if no field is
  // null.
  return missing.length > 0 ? missing : spread;
};

/** Returns the response names of the fields that a fetch asks for: of its entities, or of the root type. */
export const fieldsOfFetch = (query: string): string[] => {
  const document = parse(query, { noLocation: true });
  const names = new Set<string>();
  const collect = (selections: SelectionSetNode): void => {
    for (const selection of selections.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet);
      else if (selection.kind === Kind.FRAGMENT_SPREAD) {
        for (const definition of document.definitions) {
          if (definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
          if (definition.name.value === selection.name.value) collect(definition.selectionSet);
        }
      } else if (selection.name.value === '_entities' && selection.selectionSet)
        collect(selection.selectionSet);
      else if (selection.name.value !== '__typename')
        names.add(selection.alias?.value ?? selection.name.value);
    }
  };
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) collect(definition.selectionSet);
  }
  return [...names];
};
