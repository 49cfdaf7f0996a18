import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openSecrets } from './secrets.js';

describe('the file of secrets', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secrets-'));
    path = join(folder, 'secrets.json');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('keeps a secret for good', async () => {
    const made = await openSecrets(path).get('postgres');
    expect(made).toHaveLength(43);
    expect(await openSecrets(path).get('postgres')).toBe(made);
  });

  it.each(['', '{"postgres":', 'null', '[]', '"x"', '{"postgres":1}', '{"postgres":""}'])(
    'that is damaged says so, and what to do: %s',
    async (text) => {
      await writeFile(path, text);
      await expect(openSecrets(path).get('postgres')).rejects.toThrow(
        /secrets\.json is damaged: .* Put a copy back, or begin anew with --reset/,
      );
    },
  );
});
