/** SQLSTATE codes which mean that the database is unavailable, not that the statement is wrong. */
const unavailableStates = /^(08...|53...|57P..|25006|25P03)$/;

/**
 * SQLSTATE codes of a statement that exceeded the statement or lock timeout; other statements may succeed.
 */
const timeoutStates = /^(57014|55P03)$/;
/** Error codes of Node and of Prisma which mean that the database is unavailable. */
const unavailableCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2028',
  // These kinds are all that Prisma's adapter keeps of a broken connection if the statement was a raw one.
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
]);
/** Messages of `pg`, whose own errors have no codes. */
const unavailableMessages =
  /timeout exceeded when trying to connect|timeout expired|query read timeout|connection terminated|connection ended|cannot use a pool after|not queryable/i;

/**
 * Whether an error means that the database cannot do the work now: it is down or restarting, the pool is
 * exhausted, or a timeout was exceeded. The same work may succeed later.
 */
export const isUnavailable = (error: unknown): boolean =>
  originsOf(error).some(
    ({ codes, message }) =>
      codes.some(
        (code) => unavailableCodes.has(code) || unavailableStates.test(code) || timeoutStates.test(code),
      ) || unavailableMessages.test(message),
  );

/** Whether the statement exceeded the statement or lock timeout of a database that is available. */
export const isTimedOut = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) => codes.some((code) => timeoutStates.test(code)));

/**
 * SQLSTATE classes that the written data may cause: cardinality, data, integrity, program limits, and errors
 * that a trigger raises. All others, such as a missing table or privilege, occur with any data.
 */
const dataStates = /^(21|22|23|54|P0)...$/;

/**
 * Whether PostgreSQL rejected a statement because of the database or the statement, and not because of the
 * data.
 */
export const isStoreBroken = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  return typeof code === 'string' && typeof severity === 'string' && !dataStates.test(code);
};

/**
 * Whether a transaction lost a deadlock or a serialization conflict, so that running it again may succeed.
 */
export const isConflict = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) =>
    codes.some((code) => code === '40001' || code === '40P01' || code === 'P2034'),
  );

/** Whether a write violated a unique constraint. */
export const isDuplicate = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) => codes.some((code) => code === '23505' || code === 'P2002'));

/**
 * Returns the codes (SQLSTATE, Node's, Prisma's) and the message of an error and of all errors nested in it.
 */
const originsOf = (error: unknown, depth = 0): readonly { codes: string[]; message: string }[] => {
  if (typeof error !== 'object' || error === null || depth > 5) return [];
  const { code, originalCode, kind, message, cause, meta, errors, thrownValue } = error as Record<
    string,
    unknown
  >;
  const inner = [
    cause,
    // graphql keeps an Error of another realm here, such as Node's own errors under jest.
    thrownValue,
    (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError,
    ...(Array.isArray(errors) ? (errors as unknown[]) : []),
  ];
  return [
    {
      codes: [code, originalCode, kind].filter((value) => typeof value === 'string'),
      message: typeof message === 'string' ? message : '',
    },
    ...inner.flatMap((origin) => originsOf(origin, depth + 1)),
  ];
};
