// Checks comments, messages and names against the words that CONTRIBUTING.md rules out, and comment lines
// against the line width. `node tests/support/prose.mjs [folders]` prints each finding; prose.test.ts keeps
// the sources free of them.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The width that Prettier gives code; it does not touch comments. */
export const maxColumns = 110;

/**
 * Words that are not the field's, with the word to use instead. Names in camel case are checked word by word.
 */
const rules = [
  [/\b(un)?told\b|\btell(s|ing)?\b/i, 'publish, record, report or say'],
  [/\baside\b/i, 'parked'],
  [/\blanes?\b/i, 'partition, or conflict group'],
  [/\bli(fe|ves)\b/i, 'session, or lifetime'],
  [/\bpresence\b/i, 'connection state'],
  [/\bbells?\b/i, 'wake-up signal'],
  [/\bplace[sd]?\b/i, 'position, or location'],
  // `'happenings'` is a value that the PostgreSQL broker stores.
  [/(?<!')\bhappenings?\b/i, 'retention by time'],
  // '`behind <key>`' is a value that the table backfill stores.
  [/(?<!`)\bbehind\b(?! an? (proxy|load balancer))/i, 'after'],
  [/\baway\b/i, 'unavailable'],
  [/\banew\b/i, 'again'],
  [/\b[Ff]oreign\b(?! key)/, 'external'],
  [/\bso (many|much|long|often)\b/i, 'at most, for, or every'],
  [/\bannounc(e[sd]?|ements?|ing)\b/i, 'publish, backfill, or print'],
  [/\bcoalescers?\b/i, 'batch'],
  [
    /(^|[.;:,*] +|\/\*\* +|\/\/ +)answers\b(?=.*(\*\/|[a-z]))(?! the (gateway|client|request)s?\b)/i,
    'returns',
  ],
  [/\b(const|let|readonly) (wanted|given|own)\b/, 'requested, provided, or local'],
];

/** Text with the words of names in camel case apart. */
const inWords = (line) => line.replace(/([a-z0-9])([A-Z])/g, '$1 $2');

const isComment = (line) => /^\s*(\/\/|\/?\*)|^\s*#|\s\/\/ /.test(line);

/**
 * The findings in one file's text, as `line: what is wrong`; words are checked only if `words` is true.
 * @param {string} text
 * @param {{ words: boolean }} options
 * @returns {string[]}
 */
export const findingsIn = (text, { words }) =>
  text.split('\n').flatMap((line, index) => {
    const found = [];
    if (isComment(line) && line.length > maxColumns) found.push(`${index + 1}: ${line.length} columns`);
    // What is imported by its name is checked where it is declared.
    if (words && !/ from '|^import /.test(line)) {
      for (const [pattern, instead] of rules) {
        const match = pattern.exec(inWords(line));
        if (match) found.push(`${index + 1}: "${match[0].trim()}": use ${instead}: ${line.trim()}`);
      }
    }
    return found;
  });

const ignored = /(^|\/)(node_modules|dist|generated|\.data|\.git|coverage)(\/|$)/;

/** @param {string} folder @returns {string[]} */
export const sourcesIn = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (ignored.test(path)) return [];
    if (entry.isDirectory()) return sourcesIn(path);
    return /\.(m?ts|mjs|cjs)$/.test(entry.name) ? [path] : [];
  });

/**
 * Words are checked in what ships; tests may quote.
 * @param {string} path
 * @returns {boolean}
 */
export const checksWords = (path) => !/(^|\/)(test|tests|testing)\/|\.test\.ts$/.test(path);

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const paths = process.argv.slice(2);
  const files = (
    paths.length > 0 ? paths : ['packages', 'gateway', 'subgraphs', 'examples', 'tests']
  ).flatMap((path) => (statSync(path).isDirectory() ? sourcesIn(path) : [path]));
  let count = 0;
  for (const path of files) {
    for (const finding of findingsIn(readFileSync(path, 'utf8'), { words: checksWords(path) })) {
      process.stdout.write(`${path}:${finding}\n`);
      count += 1;
    }
  }
  process.stdout.write(`${count} findings in ${files.length} files\n`);
  process.exitCode = count === 0 ? 0 : 1;
}
