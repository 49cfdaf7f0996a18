import type { DocumentNode } from 'graphql';
import { readLinks } from './links.js';

/** Specifications that protect fields, with the versions that the executor enforces. */
const protectingSpecs: ReadonlyMap<string, string> = new Map([
  ['authenticated', 'v0.1'],
  ['requiresScopes', 'v0.1'],
  ['policy', 'v0.1'],
]);

/** Specifications that `@apollo/gateway` refuses and our executor executes. */
const executedSpecs: ReadonlySet<string> = new Set(['context', ...protectingSpecs.keys()]);

/**
 * Returns the SDL as `@apollo/gateway` loads it for an executor: for ours without the `for:` of those
 * `@link`s that it executes. Throws if the supergraph protects fields and the executor would not enforce it.
 */
export const loadableSdl = (sdl: string, supergraph: DocumentNode, executor: 'own' | 'stock'): string => {
  let loadable = sdl;
  for (const { url, spec, version } of readLinks(supergraph)) {
    const enforced = protectingSpecs.get(spec);
    if (enforced !== undefined && executor === 'stock') {
      throw new Error(
        `the supergraph uses @${spec}, which the stock executor does not enforce. Remove EXECUTOR=stock.`,
      );
    }
    if (enforced !== undefined && version !== enforced) {
      throw new Error(
        `the supergraph uses ${version} of @${spec}, and this gateway enforces only ${enforced}. Compose it with the version of federation that supergraph.yaml names.`,
      );
    }
    if (executedSpecs.has(spec) && executor === 'own') loadable = withoutPurpose(loadable, url);
  }
  return loadable;
};

const withoutPurpose = (sdl: string, url: string): string => {
  const start = sdl.indexOf(`"${url}"`);
  const end = sdl.indexOf(')', start);
  return sdl.slice(0, start) + sdl.slice(start, end).replace(/,?\s*for:\s*\w+/, '') + sdl.slice(end);
};
