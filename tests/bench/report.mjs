import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const path = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/**
 * Replaces or adds a benchmark's section of docs/benchmarks.md, with date and machine below its title, and
 * prints it. The text before the first section is kept.
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

/** Returns a line of a bar chart, whose length is the share of `value` in `most`. */
export function bar(name, value, most) {
  const rounded = Math.round(value).toLocaleString('en-US');
  return `${name.padEnd(46)} ${'█'.repeat(Math.max(1, Math.round((40 * value) / most)))} ${rounded}`;
}

/** Returns `clean`, to be called at the end. It runs once, also when a signal ends the benchmark. */
export function cleaningUp(clean) {
  let cleaned;
  const once = () => (cleaned ??= clean());
  for (const signal of ['SIGINT', 'SIGTERM']) {
    // npm forwards a signal twice, and requests fail while their servers stop.
    process.on(signal, () => {
      process.on('uncaughtException', () => undefined);
      once().finally(() => process.exit(130));
    });
  }
  return once;
}

/**
 * Stops a process, which may have exited already: Ctrl-C in a terminal reaches it as well. One that does not
 * stop within ten seconds is killed.
 */
export async function endChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}
