import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import type { IncomingMessage } from '../../src/broker.js';
import { allCommitted, message, openClients, openEventDatabase, orders } from './support.js';

describe('the members of a consumer group of the PostgreSQL broker', () => {
  const database = openEventDatabase();
  const { connect, consume, stops } = openClients();

  /**
   * Starts a member in a process of its own. It prints `got <texts>` for a batch, waits for the line `go` on
   * its input unless it had one before, and then prints `done`.
   */
  const startMemberProcess = (group: string) => {
    const script = `
      import { createInterface } from 'node:readline';
      const { openPostgresBroker } = await import('@cinegraph/messaging/postgres/broker');
      const { createLogger } = await import('@cinegraph/service/logger');
      const [url, group, topic] = process.argv.slice(1);
      const topics = [{ name: topic, retention: 'time' }];
      const logger = createLogger({ name: 'child', level: 'silent' });
      const broker = openPostgresBroker({ url, clientId: 'child', topics, logger });
      let go;
      const released = new Promise((resolve) => (go = resolve));
      createInterface({ input: process.stdin }).on('line', go);
      await broker.part.start();
      await broker.subscribe({ group, topics: [topic], onBatch: async (messages) => {
        console.log('got ' + messages.map(({ value }) => value).join());
        await released;
        console.log('done');
      } }).start();`;
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, database.url(), group, orders.name],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
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

  /** Waits until a member of this client has tried to take the lock of its group and did not get it. */
  const standsBy = (clientId: 'test' | 'child') =>
    until(async () => {
      const { rowCount } = await database.pool().query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = $1 AND state = 'idle'
           AND query LIKE '%pg_try_advisory_lock%'`,
        [`${clientId} log`],
      );
      return rowCount === 1;
    }, `a member of ${clientId} is on standby`);

  it('a standby takes over from a killed active member within seconds, and gets its uncommitted batch', async () => {
    const broker = await connect(database.url());
    const killed = startMemberProcess('test.killed');
    await broker.publish([message('not committed')]);
    await killed.prints('got');
    const { texts } = await consume(broker, 'test.killed');
    await standsBy('test');
    expect(texts).toEqual([]);
    killed.signal('SIGKILL');
    await until(() => texts.includes('not committed'), 'the standby has taken over', 5_000);
  });

  it('a standby takes over from a frozen active member, which cannot commit any more and becomes a standby', async () => {
    const group = 'test.frozen';
    const broker = await connect(database.url());
    await broker.publish([message('before the freeze')]);
    const frozen = startMemberProcess(group);
    await frozen.prints('before the freeze');
    frozen.signal('SIGSTOP');
    const { texts, stop } = await consume(broker, group);
    await until(() => texts.includes('before the freeze'), 'the standby has taken over');
    await broker.publish([message('after the freeze')]);
    await until(() => texts.includes('after the freeze'), 'the new active member continues');
    await allCommitted(broker, group);
    const committed = await broker.positions(group, [orders.name]);
    frozen.signal('SIGCONT');
    frozen.go();
    await frozen.prints('done');
    await standsBy('child');
    expect(await broker.positions(group, [orders.name])).toEqual(committed);
    await stop();
    await broker.publish([message('after the stop')]);
    await frozen.prints('got after the stop');
  });

  it('a group loses no message and keeps the order while members start and stop and connections are cut', async () => {
    const broker = await connect(database.url());
    const topic = 'shop.storms.v1';
    const next = new Map<number, bigint>();
    const busy = new Set<number>();
    const faults: string[] = [];
    let handled = 0;
    const onBatch = async (messages: readonly IncomingMessage[]) => {
      const { partition } = messages[0]!;
      if (busy.has(partition)) faults.push(`two batches of ${partition} ran at once`);
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
    // Publishers are cut, too, in the middle of their transactions.
    const cut = () =>
      database.pool().query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'test log' AND datname = current_database()`,
      );
    stops.push(() => Promise.all(members.map(({ stop }) => stop())));
    const publish = (count: number) =>
      broker.publish(
        Array.from({ length: count }, (_, n) => message('x', `k${n % 97}`, { ...orders, name: topic })),
      );
    const publishAll = async (rounds: number) => {
      for (let round = 0; round < rounds; round += 1)
        await until(
          () =>
            publish(40).then(
              () => true,
              () => false,
            ),
          'it is published',
        );
    };
    for (const action of [join, join, cut, join, leave, cut, join, cut, leave, join, cut, leave]) {
      const before = handled;
      const published = publishAll(10);
      await action();
      await published;
      await until(() => handled > before + 200, 'the group continued');
    }
    const ends = (await broker.endOffsets([topic])).get(topic) ?? [];
    const total = ends.reduce((sum, { offset }) => sum + Number(offset), 0);
    await until(() => handled >= total, 'every message was handled');
    expect(total).toBeGreaterThanOrEqual(12 * 400);
    expect(faults).toEqual([]);
  });
});
