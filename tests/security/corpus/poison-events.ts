import { expect } from '@jest/globals';
import type { OutgoingMessage } from '@cinegraph/messaging/broker';
import { openBroker } from '@cinegraph/messaging/open-broker';
import { rating } from '@cinegraph/rating/subgraph';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { until } from '@cinegraph/testing/until';
import { externalMessage } from '../../faults/messages.js';
import { know } from '../../support/known-movies.js';
import type { Tools } from './attack.js';

/** Publishes bad messages with a good one after them, and waits for their dead letters. */
export const publishPoisons = async (
  { stack, attack, note }: Tools,
  bad: readonly { readonly message: OutgoingMessage; readonly code: string }[],
) => {
  const { pool } = stack.subgraphs.rating;
  const broker = await openBroker(
    { clientId: 'attack-corpus', topics: rating.topics, logger: silentLogger },
    { url: stack.eventsUrl },
  );
  await broker.part.start();
  const codes = async (table: string) =>
    (await pool.query<{ code: string }>(`SELECT code FROM ${table} ORDER BY code`)).rows.map(
      ({ code }) => code,
    );
  const before = await codes('messaging.dead_letter');
  const ratings = async () =>
    (
      await pool.query<{ viewer: string }>(
        `SELECT viewer_id AS viewer FROM rating WHERE movie_id = 'corpus:event'`,
      )
    ).rows.map(({ viewer: id }) => id);
  await know(pool, ['corpus:event']);
  const known = await ratings();
  const good = { movieId: 'corpus:event', viewerId: `ratings:good${known.length}`, score: 5 };
  try {
    await broker.publish([...bad.map(({ message }) => message), externalMessage(good)]);
    await until(async () => (await ratings()).length > known.length, 'the good event is applied');
    await until(
      async () => (await codes('messaging.dead_letter')).length >= before.length + bad.length,
      'all dead letters are written',
    );
  } finally {
    await broker.part.stop();
  }
  const after = await codes('messaging.dead_letter');
  expect(after).toEqual([...before, ...bad.map(({ code }) => code)].sort());
  expect(await ratings()).toEqual([...known, good.viewerId]);
  note(`${bad.length} dead letters`);
  await attack({ query: '{ topRated(first: 1) { totalCount } }' }, { status: 200, fetches: true });
};
