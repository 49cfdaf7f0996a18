import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '@cinegraph/service/start-error';
import { reasonOf, say } from '@cinegraph/service/terminal';
import { root } from '../graph.js';

const answersWithinMs = 10_000;

/** Waits until the gateway at `url` is ready and answers a query. Throws a StartError after ten seconds. */
export const assertAnswers = async (url: string, signal: AbortSignal): Promise<void> => {
  const deadline = Date.now() + answersWithinMs;
  let seen = '';
  while (Date.now() < deadline) {
    signal.throwIfAborted();
    try {
      const health = await fetch(`${url}/health/ready`, { signal });
      seen = `/health/ready returns ${health.status} ${await health.text()}`;
      if (health.ok) {
        const answer = await fetch(`${url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query: '{ __typename }' }),
          signal,
        });
        const body = await answer.text();
        if (answer.ok && body.replaceAll(' ', '').includes('"__typename":"Query"')) return;
        seen = `a query returns ${answer.status} ${body}`;
      }
    } catch (error) {
      signal.throwIfAborted();
      seen = reasonOf(error);
    }
    await delay(50, undefined, { signal });
  }
  throw new StartError(`The graph does not answer: ${seen.slice(0, 500)}`);
};

/** Prints the URLs of the running graph, and a query to try. */
export const printReadyBanner = async (url: string): Promise<void> => {
  const shown = url.replace(/\/\/(0\.0\.0\.0|\[::\])/, '//localhost');
  const endpoint = `${shown}/graphql`;
  const query = await readFile(join(root, 'examples', 'first-query.graphql'), 'utf8').catch(
    () => '{ __typename }',
  );
  const oneLine = query.replace(/#.*$/gm, '').replace(/\s+/g, ' ').trim();
  const body = JSON.stringify({ query: oneLine }).replaceAll("'", String.raw`'\''`);
  say(`
The graph is ready.

  Start     ${shown}/
  GraphQL   ${endpoint}
  GraphiQL  ${shown}/graphiql
  Sandbox   https://studio.apollographql.com/sandbox/explorer?endpoint=${encodeURIComponent(endpoint)}

A query to paste:

${query.trimEnd().replace(/^/gm, '  ')}

or from a shell:

  curl -s ${endpoint} -H 'content-type: application/json' -d '${body}'

Ctrl-C stops everything.
`);
};
