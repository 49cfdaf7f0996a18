import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const ignored = new Set(['node_modules', 'dist', '.data', '.git', 'coverage', 'generated']);

const markdownIn = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (ignored.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return markdownIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });

const withoutCode = (text: string): string => text.replace(/^```[^]*?^```/gm, '').replace(/`[^`\n]*`/g, '');

/** Returns the anchors of a document's headings, as GitHub makes them. */
const anchorsOf = (path: string): ReadonlySet<string> => {
  const text = readFileSync(path, 'utf8').replace(/^```[^]*?^```/gm, '');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
};

/** Returns the relative links of a document whose file or heading does not exist. */
const brokenLinks = (path: string): readonly string[] => {
  const targets = [...withoutCode(readFileSync(path, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, target = '']) => target,
  );
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? path : resolve(dirname(path), decodeURIComponent(file));
    if (!existsSync(linked)) return true;
    return anchor !== undefined && statSync(linked).isFile() && !anchorsOf(linked).has(anchor);
  });
};

const decisions = join(root, 'docs/decisions');

describe('the documents', () => {
  it.each(markdownIn(root).map((path) => relative(root, path)))(
    'every relative link of %s leads to a file or heading that exists',
    (path) => {
      expect(brokenLinks(join(root, path))).toEqual([]);
    },
  );

  it.each(readdirSync(decisions))('the decision %s has status, date and the four sections', (name) => {
    const text = readFileSync(join(decisions, name), 'utf8');
    expect(text).toMatch(new RegExp(`^# ${Number(name.slice(0, 4))}\\. \\S.*\\n\\n`));
    expect(text).toMatch(/^Status: .+ · Date: \d{4}-\d\d-\d\d\b.*$/m);
    expect([...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)).toEqual([
      'Context',
      'Decision',
      'Alternatives considered',
      'Consequences',
    ]);
  });

  it('no two decisions have the same number', () => {
    const numbers = readdirSync(decisions).map((name) => name.slice(0, 4));
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
