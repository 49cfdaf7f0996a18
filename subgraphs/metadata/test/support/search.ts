import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph } from '@cinegraph/testing/subgraph';
import { expect } from '@jest/globals';
import { catalogue } from '../../src/import/vega.js';
import { metadata } from '../../src/subgraph.js';

export interface Hit {
  /** The name is the title of a movie, or the name of a person. */
  readonly node: { readonly __typename: string; readonly id: string; readonly name: string };
  readonly rank: number;
  readonly score: number;
  readonly highlights: readonly {
    readonly field: string;
    readonly segments: readonly { readonly text: string; readonly matched: boolean }[];
  }[];
}

interface Titled {
  readonly node: { readonly title?: string };
}

export const searchQuery = `query ($text: String!, $first: Int) { search(text: $text, first: $first) { hasMore hits {
  rank score highlights { field segments { text matched } }
  node { __typename ... on Movie { id title } ... on Person { id name } } } } }`;

/** Starts metadata with the default catalogue. `search` expects that the search succeeds. */
export const startSearch = async () => {
  const subgraph = await startTestSubgraph(metadata);
  await importInto(catalogue, subgraph.pool);
  await subgraph.pool.query('ANALYZE movie, person, search_word');
  const search = async (text: string, first?: number) => {
    const { data, errors } = await subgraph.ask(searchQuery, { text, first });
    expect([text, errors]).toEqual([text, undefined]);
    const { hasMore, hits } = data?.['search'] as { hasMore: boolean; hits: readonly (Hit & Titled)[] };
    return {
      hasMore,
      hits: hits.map(({ node: { title, ...node }, ...hit }): Hit => ({
        ...hit,
        node: { ...node, name: title ?? node.name },
      })),
    };
  };
  const namesFor = async (text: string, first?: number) =>
    (await search(text, first)).hits.map(({ node }) => node.name);
  return { subgraph, search, namesFor };
};
