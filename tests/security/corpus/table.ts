/** What was seen of one case: the worst figures of its attacks. */
export interface Row {
  readonly section: string;
  /** The number in the corpus; 0 for the memory after a section. */
  readonly number: number;
  readonly what: string;
  readonly statuses: Set<number>;
  readonly codes: Set<string>;
  readonly notes: string[];
  ms: number;
  bytes: number;
  fetches: number;
  /** The worst time of a parallel `{ __typename }`. */
  probeMs: number;
  passed: boolean;
}

/** Times of the rules (s2) and (s3), in milliseconds. */
const maxMs = 250;

/** Writes the table of the cases, and the totals of each section, to standard output. */
export const printTable = (
  rows: readonly Row[],
  {
    coldMiB,
    fullMiB,
    worstProbeMs,
  }: { readonly coldMiB: number; readonly fullMiB: number; readonly worstProbeMs: number },
): void => {
  const cells = sorted(rows).map((row) => [
    row.number === 0 ? '(s4)' : String(row.number),
    row.what,
    [...row.statuses].join(' '),
    [...row.codes].join(' '),
    row.ms.toFixed(0),
    row.probeMs.toFixed(0),
    (row.bytes / 1_000).toFixed(1),
    String(row.fetches),
    [verdictOf(row), ...row.notes].join('; '),
  ]);
  const head = ['#', 'case', 'status', 'code', 'ms', 'parallel ms', 'KB', 'fetches', 'verdict'];
  const lines = [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`);
  const totals = [...new Set(rows.map(({ section }) => section))].map((section) => {
    const cases = rows.filter((row) => row.section === section && row.number > 0);
    const numbers = (chosen: readonly Row[]) => new Set(chosen.map(({ number }) => number)).size;
    const late = cases.filter((row) => row.ms > maxMs || row.probeMs > maxMs);
    return `${section}: ${numbers(cases) - numbers(cases.filter(({ passed }) => !passed))}/${numbers(cases)}, over ${maxMs} ms: ${late.length}`;
  });
  const ending = `Memory of the gateway: ${coldMiB.toFixed(0)} MiB at the start, ${fullMiB.toFixed(0)} MiB with full caches; the worst parallel { __typename } took ${worstProbeMs.toFixed(0)} ms.`;
  process.stdout.write(`\n${[...lines, '', ...totals, ending].join('\n')}\n`);
};

/** Sorts by section, and in a section by number, with its memory at the end. */
const sorted = (rows: readonly Row[]): readonly Row[] => {
  const sections = [...new Set(rows.map(({ section }) => section))];
  const positionOf = ({ section, number }: Row) => sections.indexOf(section) * 1_000 + (number || 999);
  return rows.toSorted((one, other) => positionOf(one) - positionOf(other));
};

const verdictOf = ({ passed, ms, probeMs }: Row): string =>
  !passed ? 'FAIL' : ms > maxMs || probeMs > maxMs ? 'pass, late' : 'pass';
