import { tracing } from '@cinegraph/service/telemetry/tracing';
import { strictestHint, type CacheHint } from '../fetching/cache-hint.js';
import type { FetchResult, SubgraphRequest } from '../fetching/request.js';
import type { RequestContext } from '../request/context.js';
import type { FetchStep } from './compile.js';
import type { Faults } from './faults.js';
import type { KnownEntities } from './known-entities.js';
import type { FetchedField } from './merge.js';
import { writeJson } from './numbers.js';
import type { TypeConditions } from './type-conditions.js';

type JsonObject = Record<string, unknown>;

/** What the fetches of one request share. */
export interface Execution {
  readonly context: RequestContext;
  /** The client's variables as they came. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly types: TypeConditions;
  /** The merged data, in internal response names. */
  readonly data: JsonObject;
  /**
   * Whether equal entities share the objects below them. They do not if a field below depends on what is
   * above it (`@fromContext`).
   */
  readonly shares: boolean;
  /** The objects and lists that stand in `data` more than once; undefined if there is none. */
  shared: Set<object> | undefined;
  /** The objects that searches found, by the number of the search; see {@link FetchStep.search}. */
  searches: Map<number, readonly JsonObject[]> | undefined;
  /** The entities that fetches brought, by group of fetches; undefined until a fetch may share one. */
  known: Map<number, KnownEntities> | undefined;
  /** Undefined until a fetch fails or a subgraph returns an error. */
  faults: Faults | undefined;
  /** The strictest hint of all responses; undefined without a fetch. */
  cacheHint: CacheHint | undefined;
  /** What each fetch did, if the client asked for it. */
  readonly reports: FetchReport[] | undefined;
  /** When it began, on the clock of `performance.now()`; 0 without reports. */
  readonly startedAt: number;
  /** The JSON texts of the client's variables that were used; undefined until one was. */
  variableTexts: Map<string, string> | undefined;
  /** Is called with the id of each signal; undefined without `@defer`. */
  signal: ((id: string) => void) | undefined;
}

/** What one fetch did. Times are in milliseconds, `startMs` since the execution began. */
export interface FetchReport {
  readonly subgraph: string;
  /** Where its objects are in the response, in internal names. */
  readonly path: string;
  readonly startMs: number;
  readonly durationMs: number;
  /** How many objects of the response need it. */
  readonly objects: number;
  /**
   * How many entities it asked for, without duplicates and without those that the subgraph had returned
   * before in this request; undefined for a fetch of root fields.
   */
  readonly entities: number | undefined;
  /** How many entities it needed that another fetch of this request brought. */
  readonly known: number;
  /** True if another fetch waited for the same response of the subgraph. */
  readonly isShared: boolean;
  readonly failed: boolean;
}

/** Asks the subgraph of a fetch, and reports the fetch if the client asked for reports. */
export const ask = async (
  step: FetchStep,
  request: SubgraphRequest,
  execution: Execution,
  counts: Pick<FetchReport, 'objects' | 'known'>,
): Promise<FetchResult> => {
  const { client, subgraph } = step;
  const { context, reports } = execution;
  const traced = tracing();
  const sentAt = reports ? performance.now() : 0;
  const result = await (traced
    ? traced.inSpan('gateway.fetch', { service: subgraph }, () => client.fetch(request, context))
    : client.fetch(request, context));
  const { cacheHint = result.cacheHint } = execution;
  execution.cacheHint = strictestHint(cacheHint, result.cacheHint);
  if (reports) {
    report(step, execution, sentAt, {
      ...counts,
      entities: request.representations?.length,
      isShared: result.isShared === true,
      failed: result.failure !== undefined,
    });
  }
  return result;
};

/** Reports a fetch that began at `sentAt`, if the client asked for reports. */
export const report = (
  { subgraph, path }: FetchStep,
  { reports, startedAt }: Execution,
  sentAt: number,
  what: Omit<FetchReport, 'subgraph' | 'path' | 'startMs' | 'durationMs'>,
): void => {
  reports?.push({
    subgraph,
    path: path.join('.'),
    startMs: rounded(sentAt - startedAt),
    durationMs: rounded(performance.now() - sentAt),
    ...what,
  });
};

const rounded = (milliseconds: number): number => Math.round(milliseconds * 100) / 100;

/** Sets the fields of a fetch that brought nothing for an object. */
export const setNull = (target: JsonObject, fields: readonly FetchedField[]): void => {
  for (const { name, isOnlyHere } of fields) {
    if (name !== '__typename' && (isOnlyHere || target[name] === undefined)) target[name] = null;
  }
};

/** Returns the client's variables that a fetch uses, as JSON members. */
export const variablesOf = ({ variables }: FetchStep, execution: Execution): string => {
  let text = '';
  for (const { name, prefix } of variables) {
    if (!Object.hasOwn(execution.variables, name) || execution.variables[name] === undefined) continue;
    const texts = (execution.variableTexts ??= new Map<string, string>());
    let value = texts.get(name);
    if (value === undefined) {
      value = writeJson(execution.variables[name]);
      texts.set(name, value);
    }
    text += text === '' ? prefix + value : `,${prefix}${value}`;
  }
  return text;
};
