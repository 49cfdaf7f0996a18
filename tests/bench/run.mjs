/*
 * npm run bench [-- graph | gateway | planning | scale | import | events, with the arguments of each]
 * By default graph.
 * Each benchmark writes its own section of docs/benchmarks.md.
 */
const names = ['graph', 'gateway', 'planning', 'scale', 'import', 'events'];
const [, , name = 'graph'] = process.argv;
if (names.includes(name)) {
  process.argv.splice(2, 1);
  await import(`./${name}.mjs`);
} else {
  process.stderr.write(`There is no benchmark "${name}": name one of ${names.join(', ')}.\n`);
  process.exitCode = 2;
}
