import type { Attributes, AttributeValue, SpanContext } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';

const maxTextLength = 2_048;
const maxNameLength = 128;

/** At most `length` characters of a text. A copy: what JavaScript cuts out of a text keeps all of it in memory. */
const cut = (text: string, length: number): string => Buffer.from(text.slice(0, length)).toString();

const asIs = (value: AttributeValue): AttributeValue | undefined =>
  typeof value === 'string' ? cut(value, maxNameLength) : typeof value === 'object' ? undefined : value;

/** A client writes the name of an operation: only what GraphQL takes for a name is one. */
const graphqlName = (value: AttributeValue): AttributeValue | undefined =>
  typeof value === 'string' && /^[_A-Za-z]\w{0,127}$/.test(value) ? cut(value, maxNameLength) : undefined;

/** In this order: names in quotes, comments, texts, numbers. */
const sqlTokens = /("(?:[^"]|"")*")|--[^\n]*|\/\*[^]*?\*\/|'(?:[^']|'')*(?:'|$)|(?<![\w$])\d+(?:\.\d+)?\b/g;

/**
 * A statement as the program wrote it, without comments and with `?` for every literal. Of a statement whose texts
 * cannot be told for sure (backslashes, dollar quotes) only the first word is left.
 */
export const withoutLiterals = (sql: string): string =>
  /\\|\$\w*\$/.test(sql)
    ? (/\w+/.exec(sql)?.[0] ?? '')
    : sql
        .replace(sqlTokens, (token, name?: string) => name ?? (/^(--|\/\*)/.test(token) ? ' ' : '?'))
        .replace(/\s+/g, ' ')
        .trim();

/** The attributes that leave the process, each with what is left of its value. */
const safeAttributes: ReadonlyMap<string, (value: AttributeValue) => AttributeValue | undefined> = new Map([
  ...[
    ...['http.request.method', 'http.response.status_code', 'http.route', 'error.type'],
    ...['server.address', 'server.port', 'db.system.name', 'db.namespace', 'graphql.operation.type'],
    // The gateway's name of the subgraph that it asks.
    'service',
  ].map((name) => [name, asIs] as const),
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

/** The ids of a span. Its state is what the client wrote into the header `tracestate`; subgraphs still get it. */
const idsOf = ({ traceState: _, ...ids }: SpanContext): SpanContext => ids;

/**
 * A finished span as it may leave the process: no variable, header, URL, document, literal or message of an error is
 * left, whatever an instrumentation put in. Of attributes only known ones stay; of an exception its type; the name ends
 * where it stops being one. It is small (a few kilobytes), so that a queue of spans is bounded in bytes as well.
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
