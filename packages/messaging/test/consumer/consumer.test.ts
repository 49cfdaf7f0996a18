import { afterEach, describe, expect, it } from '@jest/globals';
import { setTracing, type Tracing } from '@cinegraph/service/telemetry/tracing';
import type { ConsumerDefinition } from '../../src/consumer/consumer.js';
import { recordDedupKey } from '../../src/consumer/inbox.js';
import { message, openConsumerDatabase, words } from './support.js';

const { pool, consuming, effects, letters } = openConsumerDatabase();

describe('a consumer', () => {
  it('a consumer subscribes with the group <subgraph>.<name>', () =>
    consuming({ ...words, maxBatch: 7 }, async (_deliver, { group, topics, maxBatch }) => {
      expect({ group, topics, maxBatch }).toEqual({ group: 'sub.words', topics: ['words'], maxBatch: 7 });
    }));

  it('messages are handled in order, and each of them once, however often it is delivered', () =>
    consuming(words, async (deliver) => {
      const batch = ['a', 'b', 'c'].map((word) => message(word));
      await deliver(batch);
      await deliver([...batch, ...batch, message('d')]);
      await deliver(batch.toReversed());
      expect(await effects()).toEqual(['a', 'b', 'c', 'd']);
    }));

  it('messages that two members of a group get at once, in any order, are handled once', () =>
    consuming(words, (one) =>
      consuming(words, async (other) => {
        const batch = Array.from({ length: 300 }, (_, n) => message(`w${n}`));
        await Promise.all([one(batch), other(batch.toReversed()), one(batch.slice(100)), other(batch)]);
        expect((await effects()).toSorted()).toEqual(batch.map(({ value }) => String(value)).toSorted());
      }),
    ));

  it('a statement uses the indexes of a table that was small when the statement was prepared', async () => {
    await pool().query('DROP TABLE IF EXISTS known; CREATE TABLE known (word text PRIMARY KEY, times int)');
    const sql = `WITH said AS (SELECT word, word || '' AS again FROM unnest($1::text[]) AS word),
        present AS (SELECT said.word, known.word AS before FROM said LEFT JOIN known ON known.word = said.again)
      INSERT INTO known SELECT word, 1 FROM present WHERE before IS NULL`;
    const plans: string[] = [];
    const counting: ConsumerDefinition<string> = {
      ...words,
      handle: async (tx, events) => {
        await tx.$executeRawUnsafe(sql, events);
        const [statement] = await tx.$queryRawUnsafe<readonly { name: string }[]>(
          'SELECT name FROM pg_prepared_statements WHERE statement = $1',
          sql,
        );
        const plan = await tx.$queryRawUnsafe<readonly { 'QUERY PLAN': string }[]>(
          `EXPLAIN EXECUTE "${statement!.name}" ('{${events.join()}}')`,
        );
        plans.push(plan.map((line) => line['QUERY PLAN']).join('\n'));
        return undefined;
      },
    };
    await consuming(counting, async (deliver) => {
      for (let batch = 0; batch < 20; batch += 1) {
        await deliver(Array.from({ length: 50 }, (_, n) => message(`${batch}-${n}`)));
        // The table has one or two pages now, and reading all of it has a lower cost than its index.
        if (batch === 0) await pool().query('ANALYZE known');
      }
    });
    expect(plans).toHaveLength(20);
    expect(plans.filter((plan) => !plan.includes('Index'))).toEqual([]);
    expect(plans.filter((plan) => plan.includes('Seq Scan on known'))).toEqual([]);
  });

  it('messages that do not concern the consumer are skipped', () =>
    consuming(words, async (deliver) => {
      await deliver([message('skip')]);
      await deliver([message('a'), message('skip')]);
      expect(await effects()).toEqual(['a']);
      expect(await letters()).toEqual([]);
    }));

  it('a batch rejects without effect while the database is unavailable, and is handled later', () =>
    consuming(
      {
        ...words,
        handle: async (tx, events) => {
          const outcomes = await words.handle(tx, events);
          if (cut) await tx.$queryRawUnsafe('SELECT pg_terminate_backend(pg_backend_pid())');
          return outcomes;
        },
      },
      async (deliver) => {
        const batch = [message('a'), message('bad: word'), message('b')];
        cut = true;
        await expect(deliver(batch)).rejects.toThrow();
        expect(await effects()).toEqual([]);
        expect(await letters()).toEqual([]);
        cut = false;
        await deliver(batch);
        expect(await effects()).toEqual(['a', 'b']);
        expect(await letters()).toHaveLength(1);
      },
    ));
  let cut = false;

  it('no message becomes a dead letter because of a broken database, and all are handled once it is repaired', () =>
    consuming(words, async (deliver) => {
      const batch = ['a', 'b', 'c'].map((word) => message(word));
      const faults = [
        ['ALTER TABLE effect RENAME TO gone', 'ALTER TABLE gone RENAME TO effect'],
        ['ALTER TABLE effect RENAME word TO gone', 'ALTER TABLE effect RENAME gone TO word'],
        ['ALTER TABLE messaging.inbox RENAME TO gone', 'ALTER TABLE messaging.gone RENAME TO inbox'],
      ] as const;
      for (const [broken, repaired] of faults) {
        await pool().query(broken);
        await expect(deliver(batch)).rejects.toThrow('does not exist');
        await pool().query(repaired);
      }
      expect([await effects(), await letters()]).toEqual([[], []]);
      await deliver(batch);
      expect([await effects(), await letters()]).toEqual([['a', 'b', 'c'], []]);
    }));

  it('`committed` is called when events were committed, and not for duplicates or after a rollback', async () => {
    const seen: (readonly string[])[] = [];
    let broken = true;
    let reading = Promise.resolve();
    const read = async () => void seen.push(await effects());
    await consuming(
      {
        ...words,
        handle: async (tx, events) => {
          const outcomes = await words.handle(tx, events);
          if (broken) await tx.$executeRawUnsafe(`DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$`);
          return outcomes;
        },
        committed: () => void (reading = reading.then(read)),
      },
      async (deliver) => {
        const batch = [message('a'), message('b')];
        await expect(deliver(batch)).rejects.toThrow();
        broken = false;
        await deliver(batch);
        await deliver(batch);
        await deliver([message('bad: word')]);
        await reading;
        expect(seen).toEqual([['a', 'b']]);
      },
    );
  });

  it('a batch that lost a deadlock runs again', async () => {
    let conflicts = 2;
    await consuming(
      {
        ...words,
        handle: async (tx, events) => {
          if ((conflicts -= 1) >= 0) await tx.$executeRawUnsafe(`DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$`);
          return words.handle(tx, events);
        },
      },
      async (deliver) => {
        await deliver([message('a'), message('b')]);
        expect(await effects()).toEqual(['a', 'b']);
        expect(await letters()).toEqual([]);
      },
    );
  });
});

describe('a trace', () => {
  afterEach(() => setTracing(untraced));

  it('each event with a trace is handled in a span of that trace, which ends with its outcome', () =>
    consuming(
      {
        ...words,
        decode: (read) => ({
          dedupKey: recordDedupKey(read),
          event: String(read.value),
          trace: String(read.key),
        }),
      },
      async (deliver) => {
        const ended: string[] = [];
        setTracing({
          ...untraced,
          inSpan: (_name, _attributes, work) => work(),
          openSpan: (trace, name, kind) => ({
            trace,
            within: (work) => work(),
            end: (outcome) => ended.push(`${trace} ${name} ${kind} ${outcome ?? 'ok'}`),
          }),
        });
        const one = message('a', { key: Buffer.from('t1') });
        await deliver([one, message('break', { key: Buffer.from('t2') })]);
        await deliver([one]);
        expect(ended.filter((line) => line.startsWith('t1'))).toEqual([
          't1 process words consumer failed',
          't1 process words consumer ok',
        ]);
        expect(ended.filter((line) => line.startsWith('t2'))).not.toContain('t2 process words consumer ok');
      },
    ));
});

const untraced: Tracing = {
  ids: () => undefined,
  traceparent: () => undefined,
  openSpan: () => undefined,
  inSpan: (_name, _attributes, work) => work(),
  headers: [],
  stop: async () => undefined,
};
