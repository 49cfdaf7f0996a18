import { describe, expect, it } from '@jest/globals';
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { loadableSdl } from './features.js';
import { readRequirements } from './requirements.js';

const compose = (imports: string, body: string, as = ''): string => {
  const link = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: [${imports}]${as})`;
  const typeDefs = parse(`${link} ${body}`);
  const { supergraphSdl, errors } = composeServices([{ name: 'a', url: 'http://a', typeDefs }]);
  if (supergraphSdl === undefined) throw new Error(errors.map(({ message }) => message).join('; '));
  return supergraphSdl;
};

/** Returns what fields and types require, as text, by coordinate. */
const requiredBy = (sdl: string, ...coordinates: string[]): string[] => {
  const requirements = readRequirements(parse(sdl));
  return coordinates.map((coordinate) => {
    const [type = '', field] = coordinate.split('.');
    const indexes = field === undefined ? requirements?.ofType(type) : requirements?.ofField(type, field);
    return (indexes ?? [])
      .map((index) => {
        const requirement = requirements?.all[index];
        return requirement?.kind === 'authenticated' ? 'viewer' : JSON.stringify(requirement?.anyOf);
      })
      .sort()
      .join(' and ');
  });
};

const all = '"@authenticated", "@requiresScopes", "@policy"';

describe('what a supergraph requires of viewers', () => {
  it.each([
    ['imported', all, '', ['authenticated', 'requiresScopes', 'policy']],
    [
      'renamed',
      '{ name: "@authenticated", as: "@loggedIn" }, { name: "@requiresScopes", as: "@scoped" }, { name: "@policy", as: "@rule" }',
      '',
      ['loggedIn', 'scoped', 'rule'],
    ],
    [
      'with the prefix of federation',
      '',
      '',
      ['federation__authenticated', 'federation__requiresScopes', 'federation__policy'],
    ],
    ['with another prefix', '', ', as: "fed"', ['fed__authenticated', 'fed__requiresScopes', 'fed__policy']],
  ] as const)('is read from directives that are %s', (_how, imports, as, [authenticated, scopes, policy]) => {
    const sdl = compose(
      imports,
      `type Query { a: Int @${authenticated} b: Int @${scopes}(scopes: [["x", "y"], ["z"]]) c: C d: Int }
       type C @${policy}(policies: [["p"]]) { c: Int }`,
      as,
    );
    expect(requiredBy(sdl, 'Query.a', 'Query.b', 'C', 'Query.d')).toEqual([
      'viewer',
      '[["x","y"],["z"]]',
      '[["p"]]',
      '',
    ]);
  });

  it('is read where a link has another prefix, as the prefix itself', () => {
    const sdl = `schema @link(url: "https://specs.apollo.dev/authenticated/v0.1", as: "auth") { query: Query }
      type Query { a: Int @auth b: Int @authenticated }`;
    expect(requiredBy(sdl, 'Query.a', 'Query.b')).toEqual(['viewer', '']);
  });

  it('has single values as lists, no requirement for an empty list, and no list that contains another', () => {
    const sdl = compose(
      all,
      `type Query {
        one: Int @requiresScopes(scopes: "x") flat: Int @requiresScopes(scopes: ["x", "y"])
        none: Int @requiresScopes(scopes: []) empty: Int @requiresScopes(scopes: [["x"], []])
        more: Int @policy(policies: [["q", "p"], ["p"]])
      }`,
    );
    expect(requiredBy(sdl, 'Query.one', 'Query.flat', 'Query.none', 'Query.empty', 'Query.more')).toEqual([
      '[["x"]]',
      '[["x"],["y"]]',
      '',
      '',
      '[["p"]]',
    ]);
  });

  it('of an interface is required by the types that state it, if composition has merged it from them', () => {
    const sdl = compose(
      all,
      `type Query { i: I }
       interface I { f: Int }
       type A implements I @authenticated { f: Int @requiresScopes(scopes: [["a"], ["b"]]) }
       type B implements I { f: Int @requiresScopes(scopes: [["c"]]) }`,
    );
    expect(sdl).toMatch(/interface I[^{]*@authenticated[^}]*"a", "c"/);
    expect(requiredBy(sdl, 'A', 'B', 'A.f', 'B.f')).toEqual(['viewer', '', '[["a"],["b"]]', '[["c"]]']);
  });

  it('of an interface is required by all its types, if they do not state it', () => {
    const sdl = `schema @link(url: "https://specs.apollo.dev/authenticated/v0.1")
      @link(url: "https://specs.apollo.dev/requiresScopes/v0.1") { query: Query }
      type Query { i: I }
      interface I @authenticated { f: Int @requiresScopes(scopes: [["x"]]) }
      type A implements I { f: Int @requiresScopes(scopes: [["x"], ["y"]]) }
      type B implements I { f: Int }`;
    expect(requiredBy(sdl, 'A', 'B', 'A.f', 'B.f')).toEqual([
      'viewer',
      'viewer',
      '[["x"],["y"]] and [["x"]]',
      '[["x"]]',
    ]);
  });

  it('is nothing without the specifications', () => {
    expect(readRequirements(parse('type Query { a: Int }'))).toBeUndefined();
  });

  it.each(['[[1]]', '{ x: 1 }', 'true'])('is refused if it is not made of names: %s', (scopes) => {
    const sdl = `schema @link(url: "https://specs.apollo.dev/requiresScopes/v0.1") { query: Query }
      type Query { a: Int @requiresScopes(scopes: ${scopes}) }`;
    expect(() => readRequirements(parse(sdl))).toThrow(
      '@requiresScopes of Query.a has no list of lists of names as "scopes"',
    );
  });
});

describe('a supergraph that protects fields', () => {
  const load = (sdl: string, executor: 'own' | 'stock' = 'own') => loadableSdl(sdl, parse(sdl), executor);
  const sdl = compose(all, 'type Query { a: Int @authenticated }');

  it('is loaded without the purpose of its links', () => {
    expect(sdl).toContain('authenticated/v0.1", for: SECURITY');
    expect(load(sdl)).not.toContain('authenticated/v0.1", for: SECURITY');
  });

  it('is refused by the stock executor', () => {
    expect(() => load(sdl, 'stock')).toThrow('Remove EXECUTOR=stock.');
    expect(() => load(sdl.replaceAll(', for: SECURITY', ''), 'stock')).toThrow('Remove EXECUTOR=stock.');
  });

  it.each(['/v0.2', '/v1.0', ''])('is refused if the version is another one: "%s"', (version) => {
    expect(() => load(sdl.replace('authenticated/v0.1', `authenticated${version}`))).toThrow(
      /uses (v\d\.\d|no version) of @authenticated, and this gateway enforces only v0\.1/,
    );
  });
});
