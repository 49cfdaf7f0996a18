/*
 * npm run bench [-- graph | gateway | scale | import | events, with the arguments of each; by default graph]
 * Each benchmark writes its own section of docs/benchmarks.md.
 */
const names = ['graph', 'gateway', 'scale', 'import', 'events'];
const [, , name = 'graph'] = process.argv;
if (names.includes(name)) {
  process.argv.splice(2, 1);
  await import(`./${name}.mjs`);
} else {
  process.stderr.write(`There is no benchmark "${name}": name one of ${names.join(', ')}.\n`);
  process.exitCode = 2;
}
