import { describe, expect, it } from '@jest/globals';
import { SpanKind, SpanStatusCode, createTraceState } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { safeSpan, withoutLiterals } from './span-allow-list.js';

describe('withoutLiterals', () => {
  const cases: readonly [what: string, sql: string, left: string][] = [
    [
      'keeps parameters',
      'SELECT a1 FROM t\n  WHERE b = $1 LIMIT $12',
      'SELECT a1 FROM t WHERE b = $1 LIMIT $12',
    ],
    ['masks strings and numbers', "SELECT 'it''s', 12, 1.5 FROM t2", 'SELECT ?, ?, ? FROM t2'],
    ['keeps quoted names', `SELECT "it's 5" FROM t WHERE x = 'secret'`, `SELECT "it's 5" FROM t WHERE x = ?`],
    ['removes comments, with the quotes in them', "SELECT 1 -- don't\n, 'secret' /* 's' */", 'SELECT ? , ?'],
    ['masks a string without an end', "SELECT 'secret", 'SELECT ?'],
    ['returns one word if strings have backslashes', "\n UPDATE t SET a = E'\\'secret'", 'UPDATE'],
    ['returns one word if strings are dollar-quoted', 'DO $do$ secret $do$', 'DO'],
  ];
  it.each(cases)('%s', (_what, sql, left) => {
    expect(withoutLiterals(sql)).toBe(left);
  });
});

describe('safeSpan', () => {
  const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
  // The state is the client's header `tracestate`.
  const spanContext = { ...ids, traceState: createTraceState('vendor=secret') };
  const span = {
    name: "pg.query:SELECT\n'secret'",
    kind: SpanKind.CLIENT,
    spanContext: () => spanContext,
    parentSpanContext: spanContext,
    startTime: [1, 0],
    endTime: [2, 0],
    duration: [1, 0],
    ended: true,
    status: { code: SpanStatusCode.ERROR, message: 'secret' },
    attributes: {
      'http.route': '/graphql',
      'url.full': 'http://secret',
      'graphql.source': 'secret',
      'graphql.operation.name': 'not a name: secret',
      'server.port': 1,
      'db.query.text': `SELECT 'secret' ${'x'.repeat(1e6)}`,
    },
    events: [
      {
        name: 'exception',
        time: [1, 5],
        attributes: {
          'exception.type': 'Error',
          'exception.message': 'secret',
          'exception.stacktrace': 'secret',
        },
      },
      { name: 'secret', time: [1, 6] },
    ],
    links: [],
    resource: { attributes: {}, merge: () => span.resource, getRawAttributes: () => [] },
    instrumentationScope: { name: 'pg' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  } as ReadableSpan;

  it('keeps only the listed attributes, and only the type of an exception', () => {
    const safe = safeSpan(span);
    expect(JSON.stringify([safe, safe.spanContext()])).not.toContain('secret');
    expect(safe).toMatchObject({
      name: 'pg.query:SELECT',
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'http.route': '/graphql', 'server.port': 1 },
      events: [{ name: 'exception', attributes: { 'exception.type': 'Error' } }],
    });
    expect([safe.spanContext(), safe.parentSpanContext]).toEqual([ids, ids]);
  });

  it('returns a small span for one with a very long name and statement', () => {
    expect(JSON.stringify(safeSpan({ ...span, name: 'n'.repeat(1e6) })).length).toBeLessThan(4_000);
  });
});
