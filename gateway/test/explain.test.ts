import { describe, expect, it } from '@jest/globals';
import { useWorld } from './support/world.js';

const query = '{ things(count: 3) { id score } again: things(count: 3) { name } }';

describe('how an operation was executed', () => {
  const world = useWorld({});

  it('is in the extensions with the header x-explain', async () => {
    const { body } = await world().ask(query, { headers: { 'x-explain': '1' } });
    expect(body.data).toMatchObject({ things: [{ score: 0 }, { score: 10 }, { score: 20 }] });
    expect(body.extensions).toEqual({
      // Two lists of ten items are estimated, and three items of each were returned.
      cost: { estimated: 20, actual: 6 },
      explain: {
        plan: expect.stringContaining('Fetch(service: "scores")'),
        fetches: [
          expect.objectContaining({ subgraph: 'things', path: '', objects: 1, isShared: false }),
          expect.objectContaining({ subgraph: 'scores', path: 'things.@', objects: 3, entities: 3 }),
        ],
      },
    });
  });

  it('says which fetches failed', async () => {
    world().scores.misbehave((response) => response.writeHead(500).end());
    const { body } = await world().ask(query, { headers: { 'x-explain': '1' } });
    expect(body.extensions).toMatchObject({
      explain: { fetches: [{ failed: false }, { subgraph: 'scores', failed: true }] },
    });
    world().scores.misbehave(undefined);
  });

  it('is the plan alone for Apollo Sandbox', async () => {
    const { body } = await world().ask(query, { headers: { 'apollo-query-plan-experimental': '1' } });
    expect(body.extensions).toEqual({
      __queryPlanExperimental: expect.stringContaining('Fetch(service: "things")'),
    });
  });

  it('is not in a response without these headers', async () => {
    expect((await world().ask(query)).body.extensions).toBeUndefined();
  });
});

describe('how an operation was executed, where EXPLAIN is false', () => {
  const world = useWorld({ EXPLAIN: 'false' });

  it('is not in a response', async () => {
    const { body } = await world().ask(query, { headers: { 'x-explain': '1' } });
    expect(body.extensions).toBeUndefined();
  });
});
