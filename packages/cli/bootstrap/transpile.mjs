import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { BootstrapError } from './run.mjs';

/**
 * Writes `dist/**.js` of each workspace from its `src/**.ts`, with source maps, and removes scripts of `dist`
 * that have no source any more. It only strips the types and checks none: `npm run types` does. Throws a
 * BootstrapError that names the file if one has a syntax error. Call it after the install, which brings swc.
 * @param {string} root
 * @param {readonly string[]} folders the folders of the workspaces, relative to `root`
 */
export const transpile = async (root, folders) => {
  const { transformSync } = await import('@swc/core');
  for (const folder of folders) {
    const written = new Set();
    for (const source of filesOf(join(root, folder, 'src'))) {
      if (!source.endsWith('.ts') || source.endsWith('.test.ts') || source.endsWith('.d.ts')) continue;
      const target = join(root, folder, 'dist', source.slice(0, -'.ts'.length));
      const { code, map } = strip(transformSync, join(root, folder, 'src', source), `${target}.js`);
      mkdirSync(dirname(target), { recursive: true });
      write(`${target}.js`, `${code}//# sourceMappingURL=${target.split('/').at(-1)}.js.map\n`);
      write(`${target}.js.map`, map);
      written.add(`${target}.js`).add(`${target}.js.map`);
    }
    for (const name of filesOf(join(root, folder, 'dist'))) {
      const path = join(root, folder, 'dist', name);
      if (/\.js(\.map)?$/.test(name) && !written.has(path)) rmSync(path);
    }
  }
};

const strip = (transformSync, path, target) => {
  try {
    return transformSync(readFileSync(path, 'utf8'), {
      configFile: false,
      swcrc: false,
      filename: path,
      sourceFileName: relative(dirname(target), path),
      sourceMaps: true,
      inlineSourcesContent: false,
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
  } catch (error) {
    throw new BootstrapError(`${path} cannot be read as TypeScript.\n${error.message}`);
  }
};

/** Leaves a file with this content untouched. */
const write = (path, content) => {
  try {
    if (readFileSync(path, 'utf8') === content) return;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  writeFileSync(path, content);
};

/** Returns the paths of all files below a folder, relative to it; none if there is no such folder. */
const filesOf = (folder) => {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return [];
  }
};
