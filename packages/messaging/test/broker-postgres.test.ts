import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { openPostgresBroker } from '../src/postgres/broker.js';
import { MessageRefused, type Broker, type IncomingMessage } from '../src/broker.js';
import {
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '@cinegraph/local/postgres/embedded';
import type { TopicDefinition } from '../src/envelope.js';
import { pruneLog } from '../src/postgres/retention.js';
import { beyondEnd, lockNumber } from '../src/postgres/store.js';
import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { brokerContract } from './broker-contract.js';

const migrations = new URL('../../../prisma/events/migrations/', import.meta.url);
const logger = silentLogger;
const happenings: TopicDefinition = { name: 'shop.orders.v1', retention: 'time' };
const states: TopicDefinition = { name: 'shop.prices.v1', retention: 'compact' };

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const connect = async (url: string, to = logger): Promise<Broker> => {
  const broker = openPostgresBroker({ url, clientId: 'test', topics: [happenings, states], logger: to });
  await broker.part.start();
  stops.push(broker.part.stop);
  return broker;
};

const consume = async (broker: Broker, group: string, topic = happenings) => {
  const texts: (string | undefined)[] = [];
  const part = broker.subscribe({
    ...{ group, topics: [topic.name] },
    onBatch: async (messages: readonly IncomingMessage[]) => {
      texts.push(...messages.map(({ value }) => value?.toString()));
    },
  });
  await part.start();
  stops.push(part.stop);
  return texts;
};

const message = (text: string | null, key: string | null = 'one', { name: topic } = happenings) => ({
  ...{ topic, key, headers: {} },
  value: text === null ? null : Buffer.from(text),
});

/**
 * A member in a process of its own. It prints `got <texts>` for a batch and, unless told to `hang`, is done with it; when
 * it hangs, the line `go` on its input lets it be done, and `done` is printed.
 */
const memberProcess = (url: string, group: string) => {
  const script = `
    import { createInterface } from 'node:readline';
    const { openPostgresBroker } = await import('@cinegraph/messaging/postgres/broker');
    const { createLogger } = await import('@cinegraph/service/logger');
    const [url, group, topic] = process.argv.slice(1);
    const topics = [{ name: topic, retention: 'time' }];
    const broker = openPostgresBroker({ url, clientId: 'child', topics, logger: createLogger({ name: 'child', level: 'silent' }) });
    let go;
    const told = new Promise((resolve) => (go = resolve));
    createInterface({ input: process.stdin }).on('line', go);
    await broker.part.start();
    await broker.subscribe({ group, topics: [topic], onBatch: async (messages) => {
      console.log('got ' + messages.map(({ value }) => value).join());
      await told;
      console.log('done');
    } }).start();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, url, group, happenings.name], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'exit');
  stops.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    signal: (name: NodeJS.Signals) => child.kill(name),
    go: () => child.stdin.write('go\n'),
    prints: (text: string) => until(() => output.includes(text), `the member printed ${text}`),
  };
};

describe('the broker in PostgreSQL', () => {
  brokerContract(async () => {
    const { url, drop } = await testDatabase({ name: 'events', migrations });
    return {
      open: (tools) => openPostgresBroker({ ...tools, url }),
      setPosition: async (group, topic, { partition, offset }) => {
        const pool = testPool(url);
        await pool.query('INSERT INTO group_position VALUES ($1, $2, $3, $4)', [
          group,
          topic,
          partition,
          offset,
        ]);
        await pool.end();
      },
      close: drop,
    };
  });
});

describe('the log in PostgreSQL', () => {
  let database: TestDatabase;
  let pool: ReturnType<typeof testPool>;
  beforeAll(async () => {
    database = await testDatabase({ name: 'events', migrations });
    pool = testPool(database.url);
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  it('takes publications of several processes to the same topics at once, and none of them deadlocks', async () => {
    const publishers = await Promise.all(Array.from({ length: 6 }, () => connect(database.url)));
    await Promise.all(
      publishers.map(async (publisher, n) => {
        for (let round = 0; round < 15; round += 1) {
          const keys = Array.from({ length: 60 }, (_, index) => `${(index * (n + 7)) % 61}`);
          await publisher.publish(
            keys.flatMap((key, index) =>
              (index + n) % 2 === 0
                ? [message('x', key), message('y', key, states)]
                : [message('y', key, states), message('x', key)],
            ),
          );
        }
      }),
    );
    const { rows } = await pool.query<{ count: string; holes: boolean }>(
      `SELECT sum(count) AS count, bool_or(count <> next_offset) AS holes FROM partition_end
       JOIN (SELECT topic, partition, count(*), max("offset") FROM message GROUP BY 1, 2) AS log USING (topic, partition)`,
    );
    expect(rows).toEqual([{ count: String(6 * 15 * 120), holes: false }]);
  });

  it('says of a message that it will never take it, and publishes none of those with it', async () => {
    const broker = await connect(database.url);
    const before = await broker.endOffsets([happenings.name]);
    for (const refused of [
      message('x'.repeat(1_048_577)),
      message('x', 'a', { ...happenings, name: 'a b' }),
    ]) {
      await expect(broker.publish([message('good'), refused])).rejects.toThrow(MessageRefused);
    }
    expect(await broker.endOffsets([happenings.name])).toEqual(before);
  });

  it('gives what a killed member had to another one within seconds, none left out', async () => {
    const group = 'test.killed';
    const broker = await connect(database.url);
    const killed = memberProcess(database.url, group);
    await broker.publish([message('in hand')]);
    await killed.prints('got');
    const texts = await consume(broker, group);
    killed.signal('SIGKILL');
    await until(() => texts.includes('in hand'), 'the other member has it', 5_000);
  });

  it('takes partitions from a member that is frozen, whose commit then counts no more', async () => {
    const group = 'test.frozen';
    const broker = await connect(database.url);
    await broker.publish([message('before the freeze')]);
    const frozen = memberProcess(database.url, group);
    await frozen.prints('before the freeze');
    frozen.signal('SIGSTOP');
    const texts = await consume(broker, group);
    await until(() => texts.includes('before the freeze'), 'the other member has it');
    await broker.publish([message('after the freeze')]);
    await until(() => texts.includes('after the freeze'), 'the other member goes on');
    const positions = () => broker.positions(group, [happenings.name]);
    await until(
      async () => (await positions()).every(({ committed, end }) => (committed ?? 0n) === end),
      'it is committed',
    );
    const before = await positions();
    frozen.signal('SIGCONT');
    frozen.go();
    await frozen.prints('done');
    // It joins again, and finds nothing to do.
    await until(async () => {
      const { rows } = await pool.query<{ members: string }>(
        `SELECT count(DISTINCT pid) AS members FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND datname = current_database()`,
      );
      return rows[0]?.members === '2';
    }, 'it has a share again');
    expect(await positions()).toEqual(before);
  });

  it('leaves nothing out and keeps the order while members come and go and connections are cut', async () => {
    const broker = await connect(database.url);
    const topic = 'shop.storms.v1';
    const next = new Map<number, bigint>();
    const busy = new Set<number>();
    const faults: string[] = [];
    let handled = 0;
    const onBatch = async (messages: readonly IncomingMessage[]) => {
      const { partition } = messages[0]!;
      if (busy.has(partition)) faults.push(`two batches of ${partition} at once`);
      busy.add(partition);
      await new Promise((resolve) => setImmediate(resolve));
      for (const { offset } of messages) {
        const expected = next.get(partition) ?? 0n;
        if (offset > expected) faults.push(`${partition}: ${offset} came before ${expected}`);
        if (offset < expected) continue;
        next.set(partition, offset + 1n);
        handled += 1;
      }
      busy.delete(partition);
    };
    const members: { stop(): Promise<void> }[] = [];
    const join = async () => {
      const part = broker.subscribe({ group: 'test.storm', topics: [topic], maxBatch: 50, onBatch });
      await part.start();
      members.push(part);
    };
    const leave = async () => members.shift()?.stop();
    // Of publishers as well, in the middle of their transactions.
    const cut = () =>
      pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'test log' AND datname = current_database()`,
      );
    stops.push(() => Promise.all(members.map(({ stop }) => stop())));
    const publish = (count: number) =>
      broker.publish(
        Array.from({ length: count }, (_, n) => message('x', `k${n % 97}`, { ...happenings, name: topic })),
      );
    const publishAll = async (rounds: number) => {
      for (let round = 0; round < rounds; round += 1)
        await until(
          () =>
            publish(40).then(
              () => true,
              () => false,
            ),
          'it is taken',
        );
    };
    for (const action of [join, join, cut, join, leave, cut, join, cut, leave, join, cut, leave]) {
      const before = handled;
      const published = publishAll(10);
      await action();
      await published;
      await until(() => handled > before + 200, 'the group went on');
    }
    const ends = (await broker.endOffsets([topic])).get(topic) ?? [];
    const total = ends.reduce((sum, { offset }) => sum + Number(offset), 0);
    await until(() => handled >= total, 'all was handled');
    expect(total).toBeGreaterThanOrEqual(12 * 400);
    expect(faults).toEqual([]);
  });

  /** Prunes; a broker of the tests that does it at the same time is waited for. */
  const prune = async () => {
    await pool.query('SELECT pg_advisory_lock($1), pg_advisory_unlock($1)', [lockNumber('prune')]);
    await pruneLog(pool);
  };

  it('begins with the oldest message that retention has left when the group stood before it', async () => {
    const broker = await connect(database.url);
    const group = 'test.pruned';
    const old = await broker.publish([message('old 1', 'pruned'), message('old 2', 'pruned')]);
    const { partition } = old[0]!;
    await pool.query(`UPDATE message SET appended_at = now() - interval '7 days 1 minute'`);
    const texts = await consume(broker, `${group}.before`);
    await until(() => texts.includes('old 2'), 'they came while they were there');
    await prune();
    await broker.publish([message('new', 'pruned')]);
    const later = await consume(broker, group);
    await until(() => later.includes('new'), 'the new one came');
    expect(later).toEqual(['new']);
    await until(async () => {
      const positions = await broker.positions(group, [happenings.name]);
      return (
        positions.find((position) => position.partition === partition)?.committed === old[1]!.offset + 2n
      );
    }, 'what came is committed');
  });

  /** Notes what is warned of. */
  const warned: unknown[] = [];
  const warningLogger = Object.assign(silentLogger, {
    warn: (_facts: unknown, text: string) => warned.push(text),
  });

  it('passes nothing over when messages are lost and the positions of groups are not', async () => {
    const broker = await connect(database.url, warningLogger);
    const [running, left] = [
      await consume(broker, 'test.lost.running'),
      broker.subscribe({
        ...{ group: 'test.lost.left', topics: [happenings.name] },
        onBatch: async () => undefined,
      }),
    ];
    await left.start();
    await broker.publish([message('old 1', 'lost'), message('old 2', 'lost')]);
    const committed = async (group: string) =>
      (await broker.positions(group, [happenings.name])).every(
        ({ committed: at, end }) => (at ?? 0n) === end,
      );
    for (const group of ['test.lost.running', 'test.lost.left'])
      await until(() => committed(group), 'all is committed');
    await left.stop();
    warned.length = 0;
    await pool.query('TRUNCATE message, partition_end');
    const sent = Array.from({ length: 2_000 }, (_, n) => `new ${n}`);
    await broker.publish(sent.map((text) => message(text, 'lost')));
    const again = await consume(broker, 'test.lost.left');
    for (const texts of [running, again]) {
      await until(() => texts.includes('new 1999'), 'the last one came');
      expect(texts.filter((text) => text?.startsWith('new '))).toEqual(sent);
    }
    expect(new Set(warned)).toEqual(new Set([beyondEnd]));
  });

  it('goes back to the oldest message once a partition, with a warning, when a part of the log is lost', async () => {
    const broker = await connect(database.url, warningLogger);
    const texts = await consume(broker, 'test.restored');
    const positions = () => broker.positions('test.restored', [happenings.name]);
    const others = Array.from({ length: 10 }, (_, n) => message('x', `other ${n}`));
    await broker.publish(others);
    const [place] = await broker.publish(['1', '2', '3', '4'].map((text) => message(text, 'restored')));
    const { partition, offset } = place!;
    await until(
      async () => (await positions()).every(({ committed, end }) => (committed ?? 0n) === end),
      'all is committed',
    );
    const read = (await positions()).filter(({ committed }) => committed !== null && committed > 0n).length;
    expect(read).toBeGreaterThan(1);
    [texts.length, warned.length] = [0, 0];
    await pool.query(
      `DELETE FROM message WHERE partition <> ${partition} OR "offset" < ${offset} OR value > '2'`,
    );
    await pool.query(
      `UPDATE partition_end SET next_offset = CASE partition WHEN ${partition} THEN ${offset + 2n} ELSE 0 END
       WHERE topic = $1`,
      [happenings.name],
    );
    await until(
      async () => (await positions()).every(({ committed, end }) => (committed ?? 0n) === end),
      'it stands where the log ends',
    );
    expect(texts).toEqual(['1', '2']);
    await broker.publish([message('5', 'restored'), ...others]);
    await until(() => texts.length === 13, 'the next ones came');
    expect(warned).toEqual(Array.from({ length: read }, () => beyondEnd));
  });

  it('keeps the newest state of each key for ever, and happenings for seven days', async () => {
    const broker = await connect(database.url);
    await pool.query('DELETE FROM message');
    const long = 'k'.repeat(10_000);
    await broker.publish([
      ...['1', '2', '3'].map((text) => message(text, 'a', states)),
      ...['1', '2'].map((text) => message(text, long, states)),
      ...[message('1', 'gone', states), message(null, 'gone', states), message('no key', null, states)],
      ...[message('1', 'a'), message('2', 'a')],
    ]);
    await pool.query(`UPDATE message SET appended_at = now() - interval '8 days'`);
    await broker.publish([message('4', 'a', states), message('young', 'a')]);
    await pool.query(`UPDATE message SET appended_at = now() - interval '6 days' WHERE value = 'young'`);
    await prune();
    const { rows } = await pool.query<{ topic: string; value: Buffer }>(
      'SELECT topic, value FROM message ORDER BY topic, value',
    );
    expect(rows.map(({ topic, value }) => `${topic} ${value.toString()}`)).toEqual([
      'shop.orders.v1 young',
      'shop.prices.v1 2',
      'shop.prices.v1 4',
    ]);
  });
});

describe('the log beside a server that goes and comes', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  let url: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'log-'));
    await chmod(directory, 0o711);
    server = await startEmbeddedPostgres({ directory });
    url = await server.ensureDatabase('events');
  });
  afterAll(async () => {
    await removeEmbeddedPostgres(directory);
    await rm(directory, { recursive: true, force: true });
  });
  const kill = async () => {
    process.kill(server.pid, 'SIGKILL');
    await server.died;
  };
  const startAgain = async () => {
    server = await startEmbeddedPostgres({ directory, port: server.port });
  };

  it('goes on by itself, with all that was published', async () => {
    const broker = await connect(url);
    const texts = await consume(broker, 'test.restart');
    await broker.publish([message('1')]);
    await until(() => texts.includes('1'), 'the first came');
    await kill();
    await expect(broker.publish([message('never')])).rejects.toThrow();
    expect(broker.answers()).toBe(false);
    await startAgain();
    await until(
      () =>
        broker.publish([message('2')]).then(
          () => true,
          () => false,
        ),
      'it takes messages again',
    );
    await until(() => texts.includes('2'), 'the second came');
    expect(broker.answers()).toBe(true);
    expect(texts.filter((text) => text === 'never')).toEqual([]);
  });

  it('starts and stops while the server is away, and begins when it comes', async () => {
    await kill();
    const broker = await connect(url);
    const gone = broker.subscribe({
      group: 'test.gone',
      topics: [happenings.name],
      onBatch: async () => undefined,
    });
    await gone.start();
    await gone.stop();
    const texts = await consume(broker, 'test.waiting');
    const stopped = await connect(url);
    await stopped.part.stop();
    await startAgain();
    await until(() => texts.includes('2'), 'what is in the log came');
  });

  it('begins anew when the database was dropped and made again', async () => {
    const broker = await connect(url);
    const texts = await consume(broker, 'test.anew');
    await until(() => texts.includes('2'), 'what is in the log came');
    const admin = testPool(server.superuserUrl);
    await admin.query('DROP DATABASE events WITH (FORCE)');
    await admin.end();
    await server.ensureDatabase('events');
    let places: Awaited<ReturnType<Broker['publish']>> = [];
    await until(async () => {
      places = await broker.publish([message('anew')]).catch(() => []);
      return places.length > 0;
    }, 'it takes messages again');
    expect(places).toEqual([{ partition: expect.any(Number), offset: 0n }]);
    await until(() => texts.includes('anew'), 'the group begins at the oldest');
  });
});
