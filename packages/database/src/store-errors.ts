/** SQLSTATE classes and client errors that say "the store is away", not "the statement is wrong". */
const awayStates = /^(08...|53...|57P..|25006|25P03)$/;

/** A statement that took too long, a lock that was not had in time: what is asked cannot be done now, all else can. */
const cutOffStates = /^(57014|55P03)$/;
const awayCodes: ReadonlySet<string> = new Set([
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
  // Kinds of Prisma's adapter, which keeps no other code of a broken connection when the statement was a raw one.
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
]);
const awayMessages =
  /timeout exceeded when trying to connect|timeout expired|query read timeout|connection terminated|connection ended|cannot use a pool after|not queryable/i;

/**
 * True when an error means that the store cannot be asked now (down, restarting, pool exhausted, statement cut off),
 * so that the same work may succeed later.
 */
export const isUnavailable = (error: unknown): boolean =>
  originsOf(error).some(
    ({ codes, message }) =>
      codes.some((code) => awayCodes.has(code) || awayStates.test(code) || cutOffStates.test(code)) ||
      awayMessages.test(message),
  );

/** True when the store cut a statement off for its time or for a lock, and would answer others. */
export const isTimedOut = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) => codes.some((code) => cutOffStates.test(code)));

/**
 * SQLSTATE classes that may be the fault of what was to be written: cardinality, data, integrity, the limits of a value, and
 * what a trigger raises. All others (a table or right that is missing, a file or index that is broken) meet any value alike.
 */
const dataStates = /^(21|22|23|54|P0)...$/;

/** True when PostgreSQL refused a statement for what is wrong with the database or the statement, not with the data. */
export const isStoreBroken = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  return typeof code === 'string' && typeof severity === 'string' && !dataStates.test(code);
};

/** True when a transaction lost a deadlock or serialization conflict: run again as it is, it may succeed. */
export const isConflict = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) =>
    codes.some((code) => code === '40001' || code === '40P01' || code === 'P2034'),
  );

/** True when a write met a row that another had written under the same unique key meanwhile. */
export const isDuplicate = (error: unknown): boolean =>
  originsOf(error).some(({ codes }) => codes.some((code) => code === '23505' || code === 'P2002'));

/** The codes (SQLSTATE, the system's, Prisma's) and message of an error and of what drivers and Prisma wrapped in it. */
const originsOf = (error: unknown, depth = 0): readonly { codes: string[]; message: string }[] => {
  if (typeof error !== 'object' || error === null || depth > 5) return [];
  const { code, originalCode, kind, message, cause, meta, errors, thrownValue } = error as Record<
    string,
    unknown
  >;
  const inner = [
    cause,
    // Where graphql keeps what was thrown when it is an Error of another realm, as Node's own are under jest.
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
