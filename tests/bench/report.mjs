import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const path = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/**
 * Replaces a benchmark's section of docs/benchmarks.md, or adds it, with date and machine below its title; prints it too.
 * The text in front of the first section stays.
 */
export function writeSection(title, command, text) {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`;
  const date = new Date().toISOString().slice(0, 10);
  const section = `## ${title}\n\nWritten by \`${command}\` on ${date}: ${machine}.\n\n${text.trim()}\n`;
  const [head, ...sections] = readFileSync(path, 'utf8').split(/^(?=## )/m);
  const at = sections.findIndex((one) => one.startsWith(`## ${title}\n`));
  if (at < 0) sections.push(section);
  else sections[at] = section;
  writeFileSync(path, `${[head, ...sections].map((part) => part.trim()).join('\n\n')}\n`);
  process.stdout.write(`\n${section}`);
}

/** A line of a bar chart: as long as `value` is of `most`. */
export function bar(name, value, most) {
  const rounded = Math.round(value).toLocaleString('en-US');
  return `${name.padEnd(46)} ${'█'.repeat(Math.max(1, Math.round((40 * value) / most)))} ${rounded}`;
}

/** Answers `clean`, to be called at the end; it runs once, also when the benchmark is interrupted, which ends it then. */
export function cleaningUp(clean) {
  let cleaned;
  const once = () => (cleaned ??= clean());
  for (const signal of ['SIGINT', 'SIGTERM']) {
    // It comes twice by npm; and what is measured fails while its servers go.
    process.on(signal, () => {
      process.on('uncaughtException', () => undefined);
      once().finally(() => process.exit(130));
    });
  }
  return once;
}

/** Ends a process, which may have ended already: Ctrl-C in a terminal reaches it as well. */
export async function endChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
