import type { Attributes, AttributeValue, SpanContext } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';

const maxTextLength = 2_048;
const maxNameLength = 128;

/** Returns a copy of the first `length` characters. A slice would keep the whole string in memory. */
const cut = (text: string, length: number): string => Buffer.from(text.slice(0, length)).toString();

const unchanged = (value: AttributeValue): AttributeValue | undefined =>
  typeof value === 'string' ? cut(value, maxNameLength) : typeof value === 'object' ? undefined : value;

/** Keeps an operation's name only if it is valid: the client chooses it, and it may hold anything. */
const graphqlName = (value: AttributeValue): AttributeValue | undefined =>
  typeof value === 'string' && /^[_A-Za-z]\w{0,127}$/.test(value) ? cut(value, maxNameLength) : undefined;

/** Matches, in this order, quoted names, comments, strings and numbers. */
const sqlTokens = /("(?:[^"]|"")*")|--[^\n]*|\/\*[^]*?\*\/|'(?:[^']|'')*(?:'|$)|(?<![\w$])\d+(?:\.\d+)?\b/g;

/**
 * Returns a statement without comments and with `?` for every literal. If its strings cannot be recognized
 * for sure, because of backslashes or dollar quotes, returns only its first word.
 */
export const withoutLiterals = (sql: string): string =>
  /\\|\$\w*\$/.test(sql)
    ? (/\w+/.exec(sql)?.[0] ?? '')
    : sql
        .replace(sqlTokens, (token, name?: string) => name ?? (/^(--|\/\*)/.test(token) ? ' ' : '?'))
        .replace(/\s+/g, ' ')
        .trim();

/** The attributes that may leave the process, each with a function that makes its value safe. */
const safeAttributes: ReadonlyMap<string, (value: AttributeValue) => AttributeValue | undefined> = new Map([
  ...[
    ...['http.request.method', 'http.response.status_code', 'http.route', 'error.type'],
    ...['server.address', 'server.port', 'db.system.name', 'db.namespace', 'graphql.operation.type'],
    // The name of the subgraph that the gateway fetches from.
    'service',
  ].map((name) => [name, unchanged] as const),
  ['graphql.operation.name', graphqlName],
  [
    'db.query.text',
    (value) => (typeof value === 'string' ? cut(withoutLiterals(value), maxTextLength) : undefined),
  ],
]);

const safeAttributesOf = (attributes: Attributes): Attributes => {
  const safe: Attributes = {};
  for (const [name, keep] of safeAttributes) {
    const value = attributes[name];
    const kept = value === undefined ? undefined : keep(value);
    if (kept !== undefined) safe[name] = kept;
  }
  return safe;
};

/** Returns a span's context without its state, which is the client's header `tracestate`. */
const idsOf = ({ traceState: _, ...ids }: SpanContext): SpanContext => ids;

/**
 * Returns a finished span as it may leave the process: without variables, headers, URLs, documents, literals
 * and error messages, whatever an instrumentation recorded. Only attributes of the list are kept, and of an
 * exception only its type. The name is cut at the first character that a name cannot have. The span is a few
 * kilobytes at most, which bounds the queue of spans in bytes.
 */
export const safeSpan = (span: ReadableSpan): ReadableSpan => ({
  name: cut(/^[\w.:/@-]+(?: [\w.:/@-]+)*/.exec(span.name)?.[0] ?? 'span', maxNameLength),
  kind: span.kind,
  spanContext: () => idsOf(span.spanContext()),
  ...(span.parentSpanContext && { parentSpanContext: idsOf(span.parentSpanContext) }),
  startTime: span.startTime,
  endTime: span.endTime,
  duration: span.duration,
  ended: span.ended,
  status: { code: span.status.code },
  attributes: safeAttributesOf(span.attributes),
  events: span.events
    .filter(({ name }) => name === 'exception')
    .slice(0, 8)
    .map(({ name, time, attributes = {} }) => {
      const type = attributes['exception.type'];
      return {
        name,
        time,
        attributes: typeof type === 'string' ? { 'exception.type': cut(type, maxNameLength) } : {},
      };
    }),
  links: [],
  resource: span.resource,
  instrumentationScope: span.instrumentationScope,
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
});
