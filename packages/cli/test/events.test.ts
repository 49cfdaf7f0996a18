import { describe, expect, it } from '@jest/globals';
import { UsageError } from '@cinegraph/service/start-error';
import { chooseSubgraphs } from '../src/events.js';
import type { LocalSubgraph } from '../src/graph.js';

const named = (name: string): LocalSubgraph => ({
  ...{ name, folder: `/clone/subgraphs/${name}`, main: '' },
  ...{ databaseVariable: '', urlVariable: '' },
});
const [metadata, rating] = [named('metadata'), named('rating')];

const choose = (able: readonly LocalSubgraph[], subgraph: string | undefined, ...typed: string[]) => {
  const [word = '', ...args] = typed;
  return chooseSubgraphs({ word, args, subgraph }, able).map(({ name }) => name);
};

describe('npm run events', () => {
  it.each([['lag'], ['outbox'], ['outbox', '--limit', '5'], ['outbox', 'resend', '--all'], ['backfill']])(
    'npm run events runs %p %p %p of every subgraph',
    (...typed) => {
      expect(choose([metadata, rating], undefined, ...typed)).toEqual(['metadata', 'rating']);
      expect(choose([metadata, rating], 'rating', ...typed)).toEqual(['rating']);
    },
  );

  it.each([
    ['outbox', 'resend', '7'],
    ['outbox', 'resend', '7.2'],
    ['dlq', 'show', '7'],
    ['dlq', 'replay', '7', '8'],
    ['dlq', 'drop', '7'],
  ])('npm run events %p %p %p needs --subgraph if several subgraphs have the command', (...typed) => {
    expect(() => choose([metadata, rating], undefined, ...typed)).toThrow(
      'Name the subgraph: --subgraph metadata or --subgraph rating',
    );
    expect(choose([metadata, rating], 'rating', ...typed)).toEqual(['rating']);
    expect(choose([rating], undefined, ...typed)).toEqual(['rating']);
  });

  it('npm run events refuses a subgraph that does not exist or does not have the command', () => {
    expect(() => choose([rating], 'metadata', 'dlq', 'list')).toThrow(
      new UsageError('No subgraph "metadata" has the command "dlq". These have it: rating.'),
    );
    expect(() => choose([], undefined, 'dlq', 'list')).toThrow(UsageError);
  });
});
