import { describe, expect, it } from '@jest/globals';
import { MessageRefused } from '../../src/broker.js';
import { message, openClients, openEventDatabase, orders, prices } from './support.js';

describe('publishing to the PostgreSQL broker', () => {
  const database = openEventDatabase();
  const { connect } = openClients();

  it('concurrent publishers of the same topics never deadlock and leave no gap in the offsets', async () => {
    const publishers = await Promise.all(Array.from({ length: 6 }, () => connect(database.url())));
    await Promise.all(
      publishers.map(async (publisher, n) => {
        for (let round = 0; round < 15; round += 1) {
          const keys = Array.from({ length: 60 }, (_, index) => `${(index * (n + 7)) % 61}`);
          await publisher.publish(
            keys.flatMap((key, index) =>
              (index + n) % 2 === 0
                ? [message('x', key), message('y', key, prices)]
                : [message('y', key, prices), message('x', key)],
            ),
          );
        }
      }),
    );
    const { rows } = await database.pool().query<{ count: string; gaps: boolean }>(
      `SELECT sum(count) AS count, bool_or(count <> next_offset) AS gaps FROM partition_end
       JOIN (SELECT topic, partition, count(*) FROM message GROUP BY 1, 2) AS stored USING (topic, partition)`,
    );
    expect(rows).toEqual([{ count: String(6 * 15 * 120), gaps: false }]);
  });

  it('a publication with a message that is too large or has an invalid topic is refused as a whole', async () => {
    const broker = await connect(database.url());
    const before = await broker.endOffsets([orders.name]);
    for (const refused of [message('x'.repeat(1_048_577)), message('x', 'a', { ...orders, name: 'a b' })]) {
      await expect(broker.publish([message('good'), refused])).rejects.toThrow(MessageRefused);
    }
    expect(await broker.endOffsets([orders.name])).toEqual(before);
  });
});
