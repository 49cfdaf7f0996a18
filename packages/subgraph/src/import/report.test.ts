import { describe, expect, it } from '@jest/globals';
import { exitCodeOf, formatReport } from './report.js';

describe('the report of an import', () => {
  const of = { subgraph: 'metadata', source: 'films', items: 'films' };
  const counted = { read: 90, written: 40, unchanged: 0, notes: [] };
  const refused = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ record: `line ${at + 1}`, reason: 'bad' }));

  it('the report shows twenty refused records and counts the others', () => {
    const lines = formatReport(of, { ...counted, refusedCount: 50, refused: refused(50) }).split('\n');
    expect(lines).toHaveLength(23);
    expect(lines[21]).toBe('  … and 30 more');
  });

  it('the report counts the refused records of an earlier run, of which only the number is known', () => {
    expect(formatReport(of, { ...counted, refusedCount: 50, refused: [] })).toContain('  … and 50 more');
    expect(formatReport(of, { ...counted, refusedCount: 3, refused: [] })).toContain('  … and 3 more');
    expect(formatReport(of, { ...counted, refusedCount: 1, refused: refused(1) })).not.toContain('more');
  });

  it('the exit code is 1 if every record was refused, and 0 if one was not or the source has none', () => {
    const code = (read: number, refusedCount: number) =>
      exitCodeOf({ ...counted, read, refusedCount, refused: [] });
    expect([code(3, 3), code(3, 2), code(3, 0), code(0, 0)]).toEqual([1, 0, 0, 0]);
  });

  it('the report escapes control characters of the source', () => {
    const report = { ...counted, refusedCount: 1, refused: [{ record: '\u001b[2J', reason: 'a\u202eb' }] };
    expect(formatReport(of, report)).toContain('refused \\u{1b}[2J: a\\u{202e}b');
  });
});
