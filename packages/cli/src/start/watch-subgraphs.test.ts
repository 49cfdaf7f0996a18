import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { watchSubgraphs } from './watch-subgraphs.js';

describe('watchSubgraphs', () => {
  let calls: string[];
  let states: Record<string, string>;
  let stop: AbortController;
  let ended: Promise<void>;
  let failure: Error | undefined;

  const subgraph = (name: string) => ({
    name,
    state: () => states[name] ?? '',
    restart: async () => void calls.push(`restart ${name}`),
  });
  const until = async (isTrue: () => boolean) => {
    while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
  };

  beforeEach(() => {
    calls = [];
    states = { metadata: '1', rating: '1' };
    stop = new AbortController();
    failure = undefined;
    ended = watchSubgraphs({
      subgraphs: [subgraph('metadata'), subgraph('rating')],
      build: async () => {
        calls.push('build');
        if (failure) throw failure;
      },
      recompose: async () => void calls.push('compose'),
      report: (line) => calls.push(line),
      signal: stop.signal,
      pollMs: 1,
    });
  });
  afterEach(async () => {
    stop.abort();
    await ended;
  });

  it('a change is built, then its subgraph alone restarts, and then the supergraph is composed', async () => {
    states = { metadata: '1', rating: '2' };
    await until(() => calls.includes('compose'));
    expect(calls).toEqual([
      ...['rating changed', 'build', 'restart rating', 'rating runs with the change', 'compose'],
    ]);
  });

  it('a change that cannot be built leaves the running subgraph as it is, until the next change', async () => {
    failure = new Error('src/main.ts cannot be read as TypeScript');
    states = { metadata: '2', rating: '1' };
    await until(() => calls.length === 3);
    expect(calls[2]).toBe('The change is not in effect: src/main.ts cannot be read as TypeScript');
    failure = undefined;
    states = { metadata: '3', rating: '1' };
    await until(() => calls.includes('compose'));
    expect(calls.slice(3)).toContain('restart metadata');
  });
});
