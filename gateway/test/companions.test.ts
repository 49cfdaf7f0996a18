import type { ServerResponse } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { CompanionDocuments } from '../src/fetching/request.js';
import {
  askerOf,
  entityQuery,
  scores,
  sendJson,
  useClient,
  type ReceivedRequest,
} from './support/fetching.js';

const start = useClient();

const newDocuments = (): CompanionDocuments => ({
  apartUntilMs: 0,
  combined: (indexes) => JSON.stringify(`query combined_${indexes.join('_')}{…}`),
});

/** The fetch with an index among those of a plan, of the entities with these ids. */
const companion = (documents: CompanionDocuments, index: number, ...ids: readonly string[]) => ({
  ...entityQuery(...ids),
  query: `"query${index}($representations:[_Any!]!){_entities(representations:$representations){score}}"`,
  companion: { documents, index },
});

/** Answers a request with several fields `_entities`: the score of each entity is its id. */
const scoresOf = (request: ReceivedRequest) => {
  if (request.variables.representations) return scores(request);
  const entities = Object.entries(request.variables).map(([name, representations]) => [
    name.replace('representations', '_'),
    (representations as readonly { id: string }[]).map(({ id }) => ({ score: Number(id) })),
  ]);
  return { data: Object.fromEntries(entities) as Readonly<Record<string, unknown>> };
};

const answerScores = (request: ReceivedRequest, response: ServerResponse): void =>
  sendJson(response, scoresOf(request));

const entitiesOf = (...ids: readonly number[]) => ({ _entities: ids.map((score) => ({ score })) });

describe('fetches of one plan that start together', () => {
  it.each([true, false])('travel as one request; shared with other requests: %s', async (coalesces) => {
    const { client, received } = await start(answerScores, { coalesces });
    const documents = newDocuments();
    const asker = askerOf('ann');
    const results = await Promise.all([
      client.fetch(companion(documents, 0, '1', '2'), asker),
      client.fetch(companion(documents, 3, '2'), asker),
    ]);

    expect(results.map(({ data }) => data)).toEqual([entitiesOf(1, 2), entitiesOf(2)]);
    expect(received.map(({ query }) => query)).toEqual(['query combined_0_3{…}']);
  });

  it.each([
    ['together if requests are shared', true, 1],
    ['apart if they are not', false, 2],
  ])('travel for two clients of the same identity %s', async (_how, coalesces, requests) => {
    const { client, received } = await start(answerScores, { coalesces });
    const documents = newDocuments();
    const results = await Promise.all([
      client.fetch(companion(documents, 0, '1'), askerOf('ann')),
      client.fetch(companion(documents, 1, '2'), askerOf('ann')),
    ]);

    expect(results.map(({ data }) => data)).toEqual([entitiesOf(1), entitiesOf(2)]);
    expect(received).toHaveLength(requests);
  });

  it.each([
    ['another viewer', askerOf('bob')],
    ['nobody as the viewer', askerOf()],
    ['other scopes', askerOf('ann', {}, ['admin'])],
    ['another forwarded header', askerOf('ann', { a: '1' })],
  ])('travel apart for %s', async (_what, other) => {
    const { client, received } = await start(answerScores);
    const documents = newDocuments();
    await Promise.all([
      client.fetch(companion(documents, 0, '1'), askerOf('ann')),
      client.fetch(companion(documents, 1, '2'), other),
    ]);

    expect(received.map(({ variables }) => Object.keys(variables))).toEqual([
      ['representations'],
      ['representations'],
    ]);
  });

  it('travel apart from those of another plan', async () => {
    const { client, received } = await start(answerScores);
    await Promise.all([
      client.fetch(companion(newDocuments(), 0, '1'), askerOf()),
      client.fetch(companion(newDocuments(), 1, '2'), askerOf()),
    ]);

    expect(received).toHaveLength(2);
  });

  it('have at most 10 aliases and 500 representations in a request', async () => {
    const { client, received } = await start(answerScores);
    const documents = newDocuments();
    const asker = askerOf();
    const ids = (count: number) => Array.from({ length: count }, (_, n) => String(n));
    await Promise.all(ids(12).map((n) => client.fetch(companion(documents, Number(n), n), asker)));
    expect(received.map(({ variables }) => Object.keys(variables).length)).toEqual([10, 2]);

    received.length = 0;
    await Promise.all([
      client.fetch(companion(documents, 0, ...ids(300)), asker),
      client.fetch(companion(documents, 1, ...ids(300)), asker),
    ]);
    expect(received.map(({ variables }) => Object.keys(variables))).toEqual([
      ['representations'],
      ['representations'],
    ]);
  });

  it.each([
    ['the response lacks their entities', [], ['representations']],
    [
      'an error does not say to which it belongs',
      [{ message: 'no', path: ['_1'] }],
      ['representations', 'representations'],
    ],
  ])('are sent again alone if %s', async (_when, errors, again) => {
    const { client, received } = await start((request, response) => {
      const { data } = scoresOf(request);
      sendJson(response, '_1' in data ? { data: { ...data, _1: [] }, errors } : { data });
    });
    const documents = newDocuments();
    const asker = askerOf();
    const results = await Promise.all([
      client.fetch(companion(documents, 0, '1'), asker),
      client.fetch(companion(documents, 1, '2'), asker),
    ]);

    expect(results.map(({ data }) => data)).toEqual([entitiesOf(1), entitiesOf(2)]);
    expect(results.flatMap((result) => result.errors)).toEqual([]);
    expect(received.slice(1).flatMap(({ variables }) => Object.keys(variables))).toEqual(again);
  });

  it('travel apart if a variable of the client differs, also if one client leaves it out', async () => {
    const { client, received } = await start(answerScores);
    const documents = newDocuments();
    await Promise.all([
      client.fetch(companion(documents, 0, '1'), askerOf()),
      client.fetch({ ...companion(documents, 1, '2'), variables: '"plus":3' }, askerOf()),
    ]);

    expect(received).toHaveLength(2);
  });

  it('all fail if their request fails', async () => {
    const { client } = await start((_request, response) => sendJson(response, 'no response of GraphQL'));
    const documents = newDocuments();
    const asker = askerOf();
    const results = await Promise.all([
      client.fetch(companion(documents, 0, '1'), asker),
      client.fetch(companion(documents, 1, '2'), asker),
    ]);

    for (const { failure } of results) expect(failure?.extensions['code']).toBe('SUBGRAPH_UNAVAILABLE');
  });

  it('are aborted only when all clients have left', async () => {
    const held: ServerResponse[] = [];
    let closed = 0;
    const { client } = await start((_request, response) => {
      held.push(response);
      response.once('close', () => (closed += 1));
    });
    const documents = newDocuments();
    const [first, second] = [askerOf(), askerOf()];
    const results = [
      client.fetch(companion(documents, 0, '1'), first),
      client.fetch(companion(documents, 1, '2'), second),
    ];
    await until(() => held.length === 1);
    first.deadline.abort('client left');
    expect((await results[0])?.failure?.extensions['code']).toBe('DEADLINE_EXCEEDED');
    expect(closed).toBe(0);
    second.deadline.abort('client left');
    await until(() => closed === 1);
    await results[1];
  });
});
