import { printable } from '@cinegraph/service/terminal';

/** What an import did. It is printed at the end. */
export interface ImportReport {
  read: number;
  written: number;
  unchanged: number;
  refusedCount: number;
  /** The first hundred refused records. */
  refused: { record: string; reason: string }[];
  /** Sentences for the person who runs the import. */
  notes: string[];
}

/** Returns the exit code of an import: 1 if every record was refused, which is a wrong file, and else 0. */
export const exitCodeOf = ({ read, refusedCount }: ImportReport): number =>
  refusedCount > 0 && refusedCount === read ? 1 : 0;

const maxShownRefusals = 20;

/** Returns the report as lines for a terminal, with control characters of the source escaped. */
export const formatReport = (
  { subgraph, source, items }: { subgraph: string; source: string; items: string },
  report: ImportReport,
): string => {
  const { read, written, unchanged, refused, refusedCount, notes } = report;
  const lines = [
    `${subgraph}: ${source}: ${items} read ${read}, written ${written}, unchanged ${unchanged}, refused ${refusedCount}`,
    ...refused
      .slice(0, maxShownRefusals)
      .map(({ record, reason }) => `  refused ${printable(record)}: ${printable(reason)}`),
  ];
  const hidden = refusedCount - Math.min(refused.length, maxShownRefusals);
  if (hidden > 0) lines.push(`  … and ${hidden} more`);
  return `${[...lines, ...notes.map((note) => `  ${printable(note)}`)].join('\n')}\n`;
};
