import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { checksWords, findingsIn, sourcesIn } from '../support/prose.mjs';

const root = resolve(import.meta.dirname, '../..');
const folders = ['packages', 'gateway', 'subgraphs', 'examples', 'tests'];

describe('comments, messages and names', () => {
  it.each(folders)('in %s keep to the words of CONTRIBUTING.md and the width of 110 columns', (folder) => {
    const findings = sourcesIn(join(root, folder)).flatMap((path) =>
      findingsIn(readFileSync(path, 'utf8'), { words: checksWords(relative(root, path)) }).map(
        (finding) => `${relative(root, path)}:${finding}`,
      ),
    );
    expect(findings).toEqual([]);
  });

  it.each([
    ['/** Answers the viewer. */', 'returns'],
    ['// What is put aside stays.', 'parked'],
    ['const toldOf = 1;', 'publish'],
    ['// It begins anew.', 'again'],
    [`// ${'x'.repeat(110)}`, 'columns'],
  ])('%s is found', (line, finding) => {
    expect(findingsIn(line, { words: true }).join()).toContain(finding);
  });

  it('plain English passes', () => {
    const lines = ['/** Returns the viewer. */', '// FOREIGN KEY', "import { place } from './a.js';"];
    expect(findingsIn(lines.join('\n'), { words: true })).toEqual([]);
  });
});
