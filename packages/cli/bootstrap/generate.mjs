import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { manifests, readJson } from './install.mjs';
import { BootstrapError, run } from './run.mjs';

/**
 * Generates the code of each workspace that has a script "generate", where it does not come from the present
 * sources and versions of packages. Throws a BootstrapError if one fails, after printing why.
 * @param {string} root
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 */
export const generateStale = async (root, signal, say) => {
  const stale = manifests(root)
    .filter((path) => readJson(join(root, path)).scripts?.generate && path !== 'package.json')
    .map((path) => ({ folder: dirname(path), stamp: stampOf(root, dirname(path)) }))
    .filter(({ folder, stamp }) => read(stampPath(root, folder)) !== stamp);
  if (stale.length === 0) return;
  say(`generating the code of ${stale.map(({ folder }) => basename(folder)).join(', ')}`);
  const codes = await Promise.all(
    stale.map(async ({ folder, stamp }) => {
      let output = '';
      const code = await run(process.execPath, [join(root, 'packages', 'cli', 'generate.mjs')], {
        ...{ cwd: join(root, folder), signal, onOutput: (text) => (output += text) },
        env: { ...process.env, DO_NOT_TRACK: '1' },
      });
      if (code === 0) writeFileSync(stampPath(root, folder), stamp);
      else if (!signal.aborted) process.stderr.write(output);
      return code;
    }),
  );
  signal.throwIfAborted();
  if (codes.some((code) => code !== 0)) {
    throw new BootstrapError('The code could not be generated (see the messages above).');
  }
};

const stampPath = (root, folder) => join(root, folder, 'src', 'generated', 'inputs.sha256');

/** Returns a hash of everything that the generated code of a workspace depends on. */
const stampOf = (root, folder) => {
  const hash = createHash('sha256');
  const inputs = [
    ...['package-lock.json', 'packages/cli/generate.mjs', `prisma/${basename(folder)}/schema.prisma`],
    ...['schema.graphql', 'src/models.ts'].map((path) => `${folder}/${path}`),
    ...(existsSync(join(root, folder, 'src/operations.graphql'))
      ? ['gateway/supergraph.graphql', `${folder}/src/operations.graphql`, `${folder}/src/scalars.ts`]
      : []),
  ];
  for (const path of inputs)
    hash.update(`${path} ${read(join(root, path))?.length}\n${read(join(root, path))}\n`);
  return hash.digest('hex');
};

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);
