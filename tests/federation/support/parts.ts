import type { GraphQLError } from 'graphql';
import type { OperationResult } from '../../../gateway/src/execution/executor.js';
import type { ResponseError } from './supergraph.js';

/** The formats of a response in parts, as `Accept` names them. */
export const formats = ['deferSpec=20220824', 'incrementalSpec=v0.2'] as const;

export type Format = (typeof formats)[number];

type Path = readonly (string | number)[];

/** One part of a response: the first one, or a delivery, in either format. */
export interface Payload {
  readonly data?: unknown;
  readonly errors?: readonly ResponseError[];
  readonly extensions?: unknown;
  readonly hasNext: boolean;
  readonly pending?: readonly { readonly id: string; readonly path: Path; readonly label?: string }[];
  readonly incremental?: readonly {
    readonly data: unknown;
    readonly id?: string;
    readonly path?: Path;
    readonly label?: string;
    readonly errors?: readonly ResponseError[];
  }[];
  readonly completed?: readonly { readonly id: string; readonly errors?: readonly ResponseError[] }[];
}

/** A response in parts that is being received. */
export interface Streamed {
  readonly status: number;
  readonly headers: Headers;
  /** Resolves with the next part; undefined at the proper end. Rejects if the response breaks off. */
  next(): Promise<Payload | undefined>;
  /** Resolves with all parts that are left. */
  rest(): Promise<Payload[]>;
  /** Closes the connection. */
  leave(): void;
}

/** Sends an operation, and receives its response in parts. */
export const stream = async (
  url: string,
  query: string,
  options: {
    format: Format;
    variables?: Readonly<Record<string, unknown>>;
    headers?: Record<string, string>;
  },
): Promise<Streamed> => {
  const abort = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      accept: `multipart/mixed;${options.format}, application/json`,
      'content-type': 'application/json',
      ...options.headers,
    },
    body: JSON.stringify({ query, variables: options.variables }),
    signal: abort.signal,
  });
  const payloads = readPayloads(response);
  const next = async () => (await payloads.next()).value ?? undefined;
  return {
    status: response.status,
    headers: response.headers,
    next,
    rest: async () => {
      const left: Payload[] = [];
      for (let payload = await next(); payload; payload = await next()) left.push(payload);
      return left;
    },
    leave: () => abort.abort(),
  };
};

const delimiter = '\r\n---';

const readPayloads = async function* (response: Response): AsyncGenerator<Payload, undefined> {
  if (!response.headers.get('content-type')?.startsWith('multipart/mixed')) {
    yield { hasNext: false, ...((await response.json()) as object) };
    return undefined;
  }
  let buffered = '';
  let isFirst = true;
  let isLast = false;
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffered += decoder.decode(chunk, { stream: true });
    for (let end = buffered.indexOf(delimiter); end !== -1; end = buffered.indexOf(delimiter)) {
      // What follows a delimiter says whether it is the last one.
      if (buffered.length < end + delimiter.length + 2) break;
      const part = buffered.slice(0, end);
      buffered = buffered.slice(end + delimiter.length);
      isLast = buffered.startsWith('--');
      if (!isFirst) yield payloadOf(part);
      isFirst = false;
    }
  }
  if (!isLast) throw new Error('the response ended before its last part');
  return undefined;
};

const payloadOf = (part: string): Payload => {
  const [headers = '', body = ''] = part.split('\r\n\r\n');
  if (headers.trim() !== 'content-type: application/json; charset=utf-8')
    throw new Error(`unexpected headers of a part: ${headers}`);
  return JSON.parse(body) as Payload;
};

/** Returns what a client receives of a result, in the format with paths. */
export const payloadsOf = async ({ data, errors, deferred }: OperationResult): Promise<Payload[]> => {
  const hasNext = (deferred?.first.length ?? 0) > 0;
  const payloads: Payload[] = [{ data: JSON.parse(data.toString()), errors: errors.map(plain), hasNext }];
  if (!deferred || !hasNext) return payloads;
  for await (const { written, hasNext } of deferred.later) {
    const incremental = written.map(({ part: { path }, data, errors }) => ({
      ...{ path, errors: errors.map(plain) },
      data: data === undefined ? null : (JSON.parse(data.toString()) as unknown),
    }));
    payloads.push({ incremental, hasNext });
  }
  return payloads;
};

const plain = (error: GraphQLError): ResponseError => JSON.parse(JSON.stringify(error)) as ResponseError;

/** Puts the parts of a response together, as a client does. */
export const merged = (
  payloads: readonly Payload[],
): { data: unknown; errors: readonly ResponseError[]; labels: readonly (string | undefined)[] } => {
  const root = { data: payloads[0]?.data };
  const errors = [...(payloads[0]?.errors ?? [])];
  const labels: (string | undefined)[] = [];
  const paths = new Map<string, { path: Path; label?: string }>();
  for (const { pending = [], incremental = [], completed = [] } of payloads) {
    for (const { id, ...part } of pending) paths.set(id, part);
    for (const { id, data, errors: ofPart = [], ...part } of incremental) {
      const { path = [], label } = (id === undefined ? part : paths.get(id)) ?? {};
      labels.push(label);
      errors.push(...ofPart);
      if (data === null) continue;
      let target: unknown = root.data;
      for (const step of path) target = (target as Record<string | number, unknown>)[step];
      mergeInto(target, data);
    }
    for (const { id, errors: ofPart = [] } of completed) {
      errors.push(...ofPart);
      paths.delete(id);
    }
  }
  if (paths.size > 0) throw new Error('a part was announced and not completed');
  const last = payloads.at(-1);
  if (payloads.some((payload) => payload.hasNext !== (payload !== last)))
    throw new Error('hasNext does not say which part is the last one');
  return { data: root.data, errors, labels };
};

const mergeInto = (target: unknown, source: unknown): void => {
  const known = target as Record<string, unknown>;
  for (const [name, value] of Object.entries(source as object)) {
    if (isObject(value) && isObject(known[name])) mergeInto(known[name], value);
    else known[name] = value;
  }
};

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
