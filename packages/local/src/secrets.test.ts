import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openSecrets } from './secrets.js';

describe('openSecrets', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secrets-'));
    path = join(folder, 'secrets.json');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('returns the same secret each time the file is opened', async () => {
    const created = await openSecrets(path).get('postgres');
    expect(created).toHaveLength(43);
    expect(await openSecrets(path).get('postgres')).toBe(created);
  });

  it.each(['', '{"postgres":', 'null', '[]', '"x"', '{"postgres":1}', '{"postgres":""}'])(
    'rejects the damaged file %j, and says what to do',
    async (text) => {
      await writeFile(path, text);
      await expect(openSecrets(path).get('postgres')).rejects.toThrow(
        /secrets\.json is damaged: .* Restore a copy, or start again with --reset/,
      );
    },
  );
});
