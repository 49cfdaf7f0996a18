import { describe, expect, it } from '@jest/globals';
import { SpanKind, SpanStatusCode, createTraceState } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { safeSpan, withoutLiterals } from './span-allow-list.js';

describe('a statement without its literals', () => {
  const cases: readonly [what: string, sql: string, left: string][] = [
    [
      'keeps parameters',
      'SELECT a1 FROM t\n  WHERE b = $1 LIMIT $12',
      'SELECT a1 FROM t WHERE b = $1 LIMIT $12',
    ],
    ['masks texts and numbers', "SELECT 'it''s', 12, 1.5 FROM t2", 'SELECT ?, ?, ? FROM t2'],
    [
      'keeps names in quotes',
      `SELECT "it's 5" FROM t WHERE x = 'secret'`,
      `SELECT "it's 5" FROM t WHERE x = ?`,
    ],
    ['drops comments, with their quotes', "SELECT 1 -- don't\n, 'secret' /* 's' */", 'SELECT ? , ?'],
    ['masks a text without an end', "SELECT 'secret", 'SELECT ?'],
    ['is one word where texts cannot be told', "\n UPDATE t SET a = E'\\'secret'", 'UPDATE'],
    ['is one word where dollars quote', 'DO $do$ secret $do$', 'DO'],
  ];
  it.each(cases)('%s', (_what, sql, left) => {
    expect(withoutLiterals(sql)).toBe(left);
  });
});

describe('a safe span', () => {
  const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
  // The header `tracestate` of the client.
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

  it('has known attributes only, and of an error its type', () => {
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

  it('is small, however large what it tells of', () => {
    expect(JSON.stringify(safeSpan({ ...span, name: 'n'.repeat(1e6) })).length).toBeLessThan(4_000);
  });
});
