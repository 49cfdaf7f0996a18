import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { serverAudits } from 'graphql-http';
import { startTestGraph, type TestGraph } from '../support/graph.js';

let graph: TestGraph;
beforeAll(async () => {
  graph = await startTestGraph();
});
afterAll(() => graph.stop());

const targets = {
  gateway: () => graph.url,
  metadata: () => graph.subgraphs.metadata.url,
  rating: () => graph.subgraphs.rating.url,
};

/** Sends the header that the CSRF guard demands of a GET; a browser sends it only after a preflight. */
const fetchFn = (url: string, init: RequestInit = {}) => {
  const headers = new Headers(init.headers);
  headers.set('apollo-require-preflight', 'yes');
  return fetch(url, { ...init, headers });
};

describe('GraphQL over HTTP', () => {
  it.each(Object.keys(targets) as (keyof typeof targets)[])(
    'all 61 audits of graphql-http pass on %s, three times',
    async (target) => {
      const url = `${targets[target]()}/graphql`;
      for (let run = 0; run < 3; run += 1) {
        const results = [];
        for (const audit of serverAudits({ url, fetchFn })) results.push(await audit.fn());
        expect(results.filter(({ status }) => status !== 'ok')).toEqual([]);
        expect(results).toHaveLength(61);
      }
    },
  );

  const statusOf = async (url: string, accept: string, request: object) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify(request),
    });
    await response.text();
    return response.status;
  };

  const faults = {
    syntax: { query: '{' },
    validation: { query: '{ unknownField }' },
    'operation name': { query: 'query A { __typename }', operationName: 'B' },
    coercion: { query: 'query ($id: ID!) { __typename @skip(if: true) a: __type(name: $id) { name } }' },
  };
  const limits = {
    tokens: { query: `{ ${'__typename '.repeat(20_000)} }` },
    'validation errors': { query: `{ ${Array.from({ length: 200 }, (_, n) => `f${n}`).join(' ')} }` },
  };

  it.each(Object.keys(targets) as (keyof typeof targets)[])(
    'on %s a fault of the operation is 200 only for a client that accepts only JSON; a limit is always 400',
    async (target) => {
      const url = `${targets[target]()}/graphql`;
      for (const request of Object.values(faults)) {
        const statuses = [];
        for (const accept of [
          'application/json',
          'application/json, application/*;q=0',
          'application/graphql-response+json',
          'application/json, application/graphql-response+json;q=0.1',
          'application/json, */*;q=0.1',
        ]) {
          statuses.push(await statusOf(url, accept, request));
        }
        expect({ request, statuses }).toEqual({ request, statuses: [200, 200, 400, 400, 400] });
      }
      for (const request of Object.values(limits)) {
        expect(await statusOf(url, 'application/json', request)).toBe(400);
      }
    },
  );
});
