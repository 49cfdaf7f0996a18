import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createServiceConsole, readServiceLine } from './service-line.js';

const at = new Date(2026, 10, 28, 9, 5, 7).toISOString();
const log = (fields: object) => readServiceLine('rating', JSON.stringify({ time: at, pid: 1, ...fields }));

describe('readServiceLine', () => {
  it('a log line is shown with its time, level, message, reason, code and fields', () => {
    const { shown, message, failure } = log({
      ...{ level: 'warn', name: 'gateway', msg: 'a fetch failed', subgraph: 'metadata', count: 3 },
      err: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED', stack: 'at somewhere' },
    });
    expect(shown).toBe(
      '09:05:07 rating    WARN  a fetch failed: connect ECONNREFUSED (code=ECONNREFUSED, subgraph=metadata, count=3)',
    );
    expect([message, failure]).toEqual(['a fetch failed: connect ECONNREFUSED', false]);
  });

  it('a field of any length and content stays on one short line', () => {
    const { shown } = log({ level: 'info', msg: 'm', advice: `\u001b[31m${'x'.repeat(500)}`, list: ['a'] });
    expect(shown).toContain('advice=\\u{1b}[31mxxx');
    expect(shown).toContain('…, list=["a"])');
    expect(shown.length).toBeLessThan(200);
  });

  it('a line that is not a log line is shown as it is, and may be the reason of an end', () => {
    expect(readServiceLine('rating', 'out of luck')).toMatchObject({ message: 'out of luck', failure: true });
  });
});

describe('createServiceConsole', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('a repeated fault is shown once, then with the number of its repetitions', () => {
    const lines: string[] = [];
    const show = createServiceConsole((line) => lines.push(line));
    for (let attempt = 1; attempt <= 4; attempt += 1)
      show(log({ level: 'warn', msg: 'unavailable', attempt }));
    show(log({ level: 'info', msg: 'ready' }));
    show(log({ level: 'info', msg: 'ready' }));
    expect(lines).toEqual([
      '09:05:07 rating    WARN  unavailable (attempt=1)',
      '09:05:07 rating    INFO  ready',
      '09:05:07 rating    INFO  ready',
    ]);
    jest.advanceTimersByTime(10_000);
    expect(lines.at(-1)).toBe('09:05:07 rating    WARN  unavailable (attempt=4) [3 more in 10 s]');
    show(log({ level: 'warn', msg: 'unavailable', attempt: 5 }));
    expect(lines.at(-1)).toBe('09:05:07 rating    WARN  unavailable (attempt=5)');
  });
});
